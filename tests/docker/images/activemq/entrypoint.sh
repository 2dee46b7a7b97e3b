#!/bin/bash
# The broker is not process 1, and what ends this one does not wait for it.
: "${ACTIVEMQ_OPTS_MEMORY:=-Xms64M -Xmx1G}"
export ACTIVEMQ_OPTS_MEMORY
trap 'kill -TERM "$child"' TERM INT
"$@" &
child=$!
wait "$child"
