#!/bin/sh
# run.sh OPTION... -- CLASS ARGUMENT...: the image's own options come before JAVA_OPT_EXT.
# Those below are for a newer Java than the official image's, which is Java 8.
set -eu
options=
while [ "$1" != -- ]; do
    options="$options $1"
    shift
done
shift
# shellcheck disable=SC2086  # one option a word
java $options \
    --add-exports=java.base/jdk.internal.ref=ALL-UNNAMED \
    --add-exports=java.base/sun.nio.ch=ALL-UNNAMED \
    --add-opens=java.base/java.nio=ALL-UNNAMED \
    --add-opens=java.base/java.lang=ALL-UNNAMED \
    --add-opens=java.base/java.util=ALL-UNNAMED \
    ${JAVA_OPT_EXT-} -cp "$ROCKETMQ_HOME/lib/*" "$@"
