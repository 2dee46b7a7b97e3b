import os

# Some tests are RocketMQ's clients: with its care for forks, gRPC would print a line at
# each, now and then in the new tab, before the script there begins.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
