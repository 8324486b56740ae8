"""A gRPC health client, with the messages of grpc.health.v1 written and read by hand.

    ask_grpc.py ADDRESS check|watch|list [SERVICE] [--ca FILE] [--gzip] [--timeout SECONDS] [--method NAME]

It prints a line for each status that it is told, and at last the code with which the call ended.
"""

import argparse
import sys

try:
    import grpc
except ImportError:
    sys.exit("there is no module grpc: apt-get install python3-grpcio")

STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]


def fields(message):
    """The fields of a message: numbers, or bytes. Ours are all shorter than 128 bytes."""
    rest = bytearray(message)
    while rest:
        tag = rest.pop(0)
        value = rest.pop(0)
        if tag & 7 == 2:
            value, rest = bytes(rest[:value]), rest[value:]
        yield tag >> 3, value


def request(service):
    name = service.encode()
    return bytes([0x0A, len(name)]) + name if name else b""


def status(message):
    return STATUSES[dict(fields(message)).get(1, 0)]


def listed(message):
    entries = (dict(fields(entry)) for _, entry in fields(message))
    return sorted("%s=%s" % (entry.get(1, b"").decode(), status(entry.get(2, b""))) for entry in entries)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("call", choices=["check", "watch", "list"])
    parser.add_argument("service", nargs="?", default="")
    parser.add_argument("--ca")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--method")
    given = parser.parse_args()

    options = [("grpc.enable_http_proxy", 0)]
    if given.gzip:
        options.append(("grpc.default_compression_algorithm", grpc.Compression.Gzip.value))
    if given.ca:
        with open(given.ca, "rb") as file:
            channel = grpc.secure_channel(given.address, grpc.ssl_channel_credentials(file.read()), options)
    else:
        channel = grpc.insecure_channel(given.address, options)
    path = "/grpc.health.v1.Health/" + (given.method or given.call.capitalize())
    try:
        if given.call == "watch":
            call = channel.unary_stream(path, request_serializer=request, response_deserializer=status)
            for told in call(given.service, timeout=given.timeout):
                print(told, flush=True)
        elif given.call == "list":
            call = channel.unary_unary(path, request_serializer=request, response_deserializer=listed)
            print(*call("", timeout=given.timeout), sep="\n")
        else:
            call = channel.unary_unary(path, request_serializer=request, response_deserializer=status)
            print(call(given.service, timeout=given.timeout))
        print("OK", flush=True)
    except grpc.RpcError as error:
        print(error.code().name, error.details(), flush=True)


if __name__ == "__main__":
    main()
