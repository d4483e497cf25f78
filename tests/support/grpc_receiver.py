# SPDX-License-Identifier: Apache-2.0
"""A gRPC server made with Debian's python3-grpcio, to be run by /usr/bin/python3: takes OTLP's Export as
raw bytes, without generated code; plain, TLS or mutual TLS, TCP or Unix socket. An answer is
{"status": a gRPC code, "message": text, "trailers": {name: text, or base64 for a name in -bin},
"body": base64 of the response message, "delay": seconds}."""
import base64
import sys
import time
from concurrent import futures

try:
    import grpc
except ImportError as error:
    print(f"skipped: {error}; Debian's python3-grpcio has it")
    sys.exit(77)

import receiver_store

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Service(grpc.GenericRpcHandler):
    def __init__(self, store):
        self.store = store

    def service(self, call):
        def export(body, context):
            metadata = {key: value if isinstance(value, str) else base64.b64encode(value).decode()
                        for key, value in context.invocation_metadata()}
            names = [name.decode() for name in context.auth_context().get("x509_common_name", [])]
            answer = self.store.keep({"path": call.method, "headers": metadata, "deadline": context.time_remaining(),
                                      "client": {"commonName": names[0]} if names else None}, body)
            time.sleep(answer.get("delay", 0))
            context.set_trailing_metadata([(name, base64.b64decode(value) if name.endswith("-bin") else value)
                                           for name, value in answer.get("trailers", {}).items()])
            if answer.get("status"):
                code = next(code for code in grpc.StatusCode if code.value[0] == answer["status"])
                context.abort(code, answer.get("message", ""))
            return base64.b64decode(answer.get("body", ""))

        return grpc.unary_unary_rpc_method_handler(export) if call.method == EXPORT else None


def main():
    options = receiver_store.options(__doc__)
    receiver_store.block_signals()
    store = receiver_store.Store(options.folder, options.answers)
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Service(store)],
                         options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)])
    address = f"unix:{options.unix}" if options.unix else "127.0.0.1:0"
    if options.certificate:
        def read(path):
            with open(path, "rb") as file:
                return file.read()

        ca = read(options.client_ca) if options.client_ca else None
        credentials = grpc.ssl_server_credentials([(read(options.key), read(options.certificate))], ca, ca is not None)
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    store.ready(port)
    receiver_store.wait_for_the_end()
    server.stop(0).wait(5)


if __name__ == "__main__":
    main()
