# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300 COST 35
"""What arrives by each transport, seen by receivers that share no code with this project: every span that
the program `emit` made, complete; or a refusal that is logged and counted. Python's HTTP server and gRPC's
own (Debian's python3-grpcio) receive, Google's protobuf library decodes, openssl makes the certificates."""
import base64
import re
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

import expected
from certificates import Certificates
from peers import missing, need
from receivers import Emitted, Receiver, emit_program, grpc_is_there
from sink_process import chunk, number

try:
    import otlp_decoder
except ImportError as error:
    missing(f"{error}; Debian's python3-protobuf or PyPI's protobuf has it")

PROTOCOLS = ("http/protobuf", "http/json", "grpc")
SETS, BATCH_SPANS = 12, 200
DEFINITIONS = otlp_decoder.definitions()
certificates = None


def setUpModule():
    global certificates
    holder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(holder.cleanup)
    certificates = Certificates(holder.name)


def server_of(protocol):
    return "grpc" if protocol == "grpc" else "http"


def variables_of(protocol, receiver, **more):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_SERVICE_NAME": "transports", "NSP_RETRY_MIN_MS": "20", "NSP_RETRY_MAX_MS": "200", **more}


def at_once(function, cases):
    """The results in order; a few calls run at the same time."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda case: function(*case), cases))


class Transports(unittest.TestCase):
    maxDiff = None

    def need(self, protocol):
        if protocol == "grpc":
            need(grpc_is_there(), "python3-grpcio is not installed")

    def assert_arrived(self, protocol, emitted, requests, batch_spans=BATCH_SPANS):
        """The requests contain exactly what was emitted, by every definition of the messages."""
        for name, traces in DEFINITIONS.items():
            decode = otlp_decoder.decode_json if protocol == "http/json" else otlp_decoder.decode_protobuf
            received = []
            for _, _, body in requests:
                message = decode(traces, body)
                spans = expected.spans_of(message)
                self.assertLessEqual(len(spans), batch_spans)
                self.assertEqual(expected.resource_of(message)["service.name"], "transports")
                self.assertEqual(len(message.resource_spans[0].scope_spans), 1)
                received += spans
            found = expected.differences(emitted.spans, received)
            if found:
                self.fail(f"{name}: {expected.report(found)}")

    def assert_headers(self, protocol, gzip, requests):
        for description, _, _ in requests:
            headers = description["headers"]
            self.assertRegex(headers["user-agent"], "nanospan/")
            self.assertEqual(headers["x-tenant"], "a b")
            if protocol == "grpc":
                self.assertGreater(description["deadline"], 1)
                continue
            self.assertEqual(description["path"], "/v1/traces")
            self.assertEqual(headers["content-type"],
                             "application/json" if protocol == "http/json" else "application/x-protobuf")
            self.assertEqual(headers.get("content-encoding"), "gzip" if gzip else None)

    def deliver(self, protocol, receiver, gzip=False, client=None, batch_spans=BATCH_SPANS, **more):
        before = len(receiver.requests())
        variables = variables_of(protocol, receiver, OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a%20b",
                                 OTEL_EXPORTER_OTLP_COMPRESSION="gzip" if gzip else "none",
                                 OTEL_BSP_MAX_EXPORT_BATCH_SIZE=str(batch_spans))
        emitted = Emitted({**variables, **more}, count=SETS)
        self.assertEqual(emitted.code, 0, emitted.said)
        requests = receiver.requests()[before:]
        self.assertGreaterEqual(len(requests), 2)
        self.assert_arrived(protocol, emitted, requests, batch_spans)
        self.assert_headers(protocol, gzip, requests)
        for description, _, _ in requests:
            self.assertEqual((description["client"] or {}).get("commonName"), client)
        accounting = emitted.accounting
        self.assertEqual(accounting["exported"], len(emitted.spans))
        self.assertEqual((accounting["batches_sent"], accounting["batches_failed"]), (len(requests), 0))
        self.assertEqual(accounting["bytes_encoded"], sum(len(body) for _, _, body in requests))
        if protocol != "grpc":
            self.assertEqual(accounting["bytes_sent"], sum(len(sent) for _, sent, _ in requests))
        if gzip:
            self.assertLess(accounting["bytes_sent"], accounting["bytes_encoded"] / 2)
        return requests

    def deliver_all_ways(self, protocol, **receiver_options):
        self.need(protocol)
        variables = receiver_options.pop("variables", {})
        client = receiver_options.pop("client", None)
        with Receiver(server_of(protocol), **receiver_options) as receiver:
            for gzip in (False, True):
                with self.subTest(gzip=gzip):
                    self.deliver(protocol, receiver, gzip, client, **variables)

    def deliver_tls(self, protocol):
        self.deliver_all_ways(protocol, tls=(certificates.path("server"), certificates.path("server_key")),
                              variables={"OTEL_EXPORTER_OTLP_CERTIFICATE": certificates.path("ca")})

    def deliver_mutual_tls(self, protocol):
        self.deliver_all_ways(protocol, tls=(certificates.path("server"), certificates.path("server_key")),
                              client_ca=certificates.path("ca"), client="test client",
                              variables={"OTEL_EXPORTER_OTLP_CERTIFICATE": certificates.path("ca"),
                                         "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificates.path("client"),
                                         "OTEL_EXPORTER_OTLP_CLIENT_KEY": certificates.path("client_key")})

    # Certificates of the server and of the client that must be refused.
    REFUSALS = {
        # name: (whom the server claims to be, the authority that we trust,
        #        does the server ask for a certificate; what we log)
        "a certificate by an authority that is not trusted": ("server", "other_ca", False, "certificate|issuer"),
        "a certificate of another host": ("other_host", "ca", False, "host ?name|does not match|subject"),
        "an expired certificate": ("expired", "ca", False, "expired"),
        "no client certificate": ("server", "ca", True, "certificate|alert|handshake"),
    }

    def refusal(self, protocol, name):
        identity, authority, mutual, said = self.REFUSALS[name]
        with Receiver(server_of(protocol), tls=(certificates.path(identity), certificates.path(identity + "_key")),
                      client_ca=certificates.path("ca") if mutual else None) as receiver:
            for timeout in (3, 20):  # the first is too short for a handshake only if the machine is very busy
                emitted = Emitted(variables_of(protocol, receiver, OTEL_EXPORTER_OTLP_CERTIFICATE=certificates.path(authority)),
                                  timeout=timeout)
                if re.search(said, emitted.said, re.IGNORECASE):
                    break
            return emitted, receiver.requests(), said

    def refuse(self, protocol):
        self.need(protocol)
        for name, (emitted, requests, said) in zip(self.REFUSALS, at_once(self.refusal, [(protocol, name) for name in
                                                                                          self.REFUSALS])):
            with self.subTest(name):
                self.assertEqual(requests, [])
                self.assertEqual(emitted.code, 3, emitted.said)
                accounting = emitted.accounting
                self.assertEqual(accounting["exported"], 0)
                self.assertEqual(accounting["attempted"], len(emitted.spans))
                self.assertEqual(accounting["attempted"], accounting["discarded"] + accounting["unconfirmed"] + accounting["rejected"])
                self.assertGreaterEqual(accounting["batches_failed"] + accounting["batches_sent"], 1)
                self.assertRegex(emitted.said, re.compile(f"^.*nanospan.*({said}).*$", re.IGNORECASE | re.MULTILINE))

    def answer(self, protocol, *answers, **more):
        with Receiver(server_of(protocol), answers=answers) as receiver:
            emitted = Emitted(variables_of(protocol, receiver, **more), timeout=20)
            return emitted, receiver.requests()

    def assert_retried(self, protocol, emitted, requests):
        """Answered once with a request to retry, then accepted."""
        self.assertEqual(emitted.code, 0, emitted.said)
        self.assertEqual(len(requests), 2)
        self.assertEqual(requests[0][1], requests[1][1], "what is sent again is the same")
        self.assertGreaterEqual(emitted.accounting["batches_failed"], 1)
        self.assert_arrived(protocol, emitted, requests[1:])

    def assert_given_up(self, emitted, requests, said):
        """Rejected: counted, logged, and not sent again."""
        self.assertEqual(emitted.code, 3, emitted.said)
        self.assertEqual(len(requests), 1)
        self.assertEqual(emitted.accounting["rejected"], len(emitted.spans))
        self.assertRegex(emitted.said, said)

    def assert_halved(self, protocol, emitted, requests):
        """Refused once for its size, then accepted in two halves, each a complete request."""
        self.assertEqual(emitted.code, 0, emitted.said)
        self.assertEqual(len(requests), 3)
        self.assertIn("larger than the receiver accepts", emitted.said)
        self.assertEqual(emitted.accounting["batches_sent"], 3)
        self.assert_arrived(protocol, emitted, requests[1:])

    def assert_partial(self, emitted, requests, rejected, said):
        self.assertEqual(len(requests), 1)
        self.assertEqual(emitted.accounting["rejected"], rejected, emitted.said)
        self.assertEqual(emitted.accounting["exported"], len(emitted.spans) - rejected)
        self.assertIn(said, emitted.said)

    def http_answers(self, protocol, partial):
        retried, final = (429, 502, 503, 504), (400, 401, 403, 404, 500, 501, 505)
        cases = [(protocol, {"status": status, "body": "the reason"}) for status in retried + final]
        for status, (emitted, requests) in zip(retried + final, at_once(self.answer, cases)):
            with self.subTest(status=status):
                if status in retried:
                    self.assert_retried(protocol, emitted, requests)
                else:
                    self.assert_given_up(emitted, requests, f"answered {status}: the reason")
        emitted, requests = self.answer(protocol, {"status": 503, "headers": {"Retry-After": "1"}})
        self.assert_retried(protocol, emitted, requests)
        self.assertGreaterEqual(requests[1][0]["time"] - requests[0][0]["time"], 0.95)
        self.assert_halved(protocol, *self.answer(protocol, {"status": 413}))
        emitted, requests = self.answer(protocol, {"close": True})
        self.assertEqual(len(requests), 2)
        self.assertEqual(emitted.accounting["exported"] + emitted.accounting["unconfirmed"], len(emitted.spans))
        self.assert_partial(*self.answer(protocol, {"body": partial}), 5, "no room")

    def test_batches_close_by_bytes(self):
        for protocol in PROTOCOLS:
            self.need(protocol)
            with self.subTest(protocol), Receiver(server_of(protocol)) as receiver:
                requests = self.deliver(protocol, receiver, NSP_BATCH_BYTES="65536", batch_spans=8192)
                largest = max(len(body) for _, _, body in requests)
                self.assertTrue(60000 < largest <= 65536, f"the largest of {len(requests)} has {largest} bytes")

    # One test for each protocol, so that a failure names it.

    def test_http_protobuf_clear(self):
        self.deliver_all_ways("http/protobuf")

    def test_http_protobuf_tls(self):
        self.deliver_tls("http/protobuf")

    def test_http_protobuf_mutual_tls(self):
        self.deliver_mutual_tls("http/protobuf")

    def test_http_protobuf_unix(self):
        self.deliver_all_ways("http/protobuf", unix=True)

    def test_http_protobuf_refusals(self):
        self.refuse("http/protobuf")

    def test_http_protobuf_answers(self):
        self.http_answers("http/protobuf", chunk(1, number(1, 5) + chunk(2, "no room")).decode())

    def test_http_json_clear(self):
        self.deliver_all_ways("http/json")

    def test_http_json_tls(self):
        self.deliver_tls("http/json")

    def test_http_json_mutual_tls(self):
        self.deliver_mutual_tls("http/json")

    def test_http_json_unix(self):
        self.deliver_all_ways("http/json", unix=True)

    def test_http_json_refusals(self):
        self.refuse("http/json")

    def test_http_json_answers(self):
        self.http_answers("http/json", '{"partialSuccess": {"rejectedSpans": "5", "errorMessage": "no room"}}')

    def test_grpc_clear(self):
        self.deliver_all_ways("grpc")

    def test_grpc_tls(self):
        self.deliver_tls("grpc")

    def test_grpc_mutual_tls(self):
        self.deliver_mutual_tls("grpc")

    def test_grpc_unix(self):
        self.deliver_all_ways("grpc", unix=True)

    def test_grpc_refusals(self):
        self.refuse("grpc")

    def test_grpc_answers(self):
        self.need("grpc")
        retried, final = (1, 4, 10, 11, 14, 15), (2, 3, 5, 6, 7, 8, 9, 12, 13, 16)
        cases = [("grpc", {"status": code, "message": "the reason: 100 % €"}) for code in retried + final]
        for code, (emitted, requests) in zip(retried + final, at_once(self.answer, cases)):
            with self.subTest(code=code):
                if code in retried:
                    self.assert_retried("grpc", emitted, requests)
                else:
                    self.assert_given_up(emitted, requests, "the reason: 100 %")

    def test_grpc_retry_info(self):
        self.need("grpc")
        delay = chunk(1, number(1, 1) + number(2, 200_000_000))  # RetryInfo { Duration { 1 s, 200 ms } }
        details = (number(1, 8) + chunk(2, "busy") +
                   chunk(3, chunk(1, "type.googleapis.com/google.rpc.RetryInfo") + chunk(2, delay)))
        for code in (8, 14):
            with self.subTest(code=code):
                emitted, requests = self.answer("grpc", {
                    "status": code, "message": "busy",
                    "trailers": {"grpc-status-details-bin": base64.b64encode(details).decode()}})
                self.assert_retried("grpc", emitted, requests)
                self.assertGreaterEqual(requests[1][0]["time"] - requests[0][0]["time"], 1.15)

    def test_grpc_partial_success(self):
        self.need("grpc")
        body = base64.b64encode(chunk(1, number(1, 5) + chunk(2, "no room"))).decode()
        self.assert_partial(*self.answer("grpc", {"body": body}), 5, "no room")

    def test_grpc_deadline(self):
        """A server that takes longer than the client waits may have the spans: they are sent again and not
        counted twice."""
        self.need("grpc")
        emitted, requests = self.answer("grpc", {"delay": 3}, OTEL_EXPORTER_OTLP_TIMEOUT="1000")
        self.assertGreaterEqual(len(requests), 2)
        self.assertEqual(emitted.accounting["exported"], len(emitted.spans), emitted.said)


if __name__ == "__main__":
    emit_program()
    print("decoded by", " and ".join(DEFINITIONS))
    unittest.main()
