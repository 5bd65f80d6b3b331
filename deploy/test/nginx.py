#!/usr/bin/env python3
"""Runs Lectern behind a real nginx with deploy/nginx, and looks at what comes through.

    make test-nginx

Starts an API and a worker with a database of their own, and several nginx: with TLS, with plain HTTP, with a proxy before it,
with little patience at the edge. The language model is a stand-in that takes its time with each token, so that one can see
whether tokens come through when they are written.
"""

import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
import warnings

from dashboards import Lectern, Running, free_port, psql, wait

ROOT = pathlib.Path(__file__).resolve().parents[2]
NGINX = ROOT / ".dev/nginx"
DOMAIN = "lectern.test"
UPLOAD_BYTES_MAX = 100 << 20  # the default
TOKENS = 10
TOKEN_PAUSE_S = 0.15
KEY = {"Authorization": "Bearer lectern-dev"}


def main():
    with contextlib.ExitStack() as stack:
        world = World(stack)
        tests = [test for name, test in globals().items() if name.startswith("test_")]
        failed = 0
        for test in tests:
            name = test.__name__.removeprefix("test_").replace("_", " ")
            started = time.monotonic()
            try:
                test(world)
                print(f"ok      {name} ({time.monotonic() - started:.1f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {name}", flush=True)
                traceback.print_exc()
        print(f"{len(tests) - failed} passed, {failed} failed")
        sys.exit(1 if failed else 0)


class World:
    """All that runs for the tests."""

    def __init__(self, stack):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o755)  # nginx that root starts serves as somebody else
        self.running = Running(stack, self.folder)
        database = f"lectern_nginx_{uuid.uuid4().hex}"
        psql(f"create database {database}")
        stack.callback(psql, f"drop database {database} with (force)")
        server, _ = os.environ["LECTERN_TEST_DATABASE_URL"].rsplit("/", 1)
        environment = {
            **os.environ,
            "LECTERN_WEB_DIR": str(ROOT / "web/dist"),
            "LECTERN_TRUSTED_PROXIES": "127.0.0.1",
            "LECTERN_LIMIT_ADDRESS_AUTH_FAILURES": "3/m",
            "LECTERN_CONFIDENCE_MIN": "0",
            "LECTERN_CACHE": "false",
            "LECTERN_GENERATOR": "openai",
            "LECTERN_OPENAI_BASE_URL": slow_language_model(stack),
            "LECTERN_OPENAI_API_KEY": "none",
        }
        self.lectern = Lectern(self.running, environment, f"{server}/{database}", self.folder, database)
        self.flags = self.folder / "flags"
        self.flags.mkdir()
        self.certificate()
        self.https = self.nginx("https", LECTERN_TLS="on", LECTERN_DOMAIN=DOMAIN)
        self.http = self.nginx("http")
        self.lectern.upload(ROOT / "worker/tests/files/handbook.pdf")

    def certificate(self):
        """One for the domain and its www, signed by itself."""
        tls = self.folder / "tls"
        tls.mkdir()
        self.authority = tls / "fullchain.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        command += ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN},DNS:www.{DOMAIN}"]
        command += ["-keyout", tls / "privkey.pem", "-out", self.authority]
        subprocess.run(command, check=True, capture_output=True)

    def nginx(self, name, api=None, folder=ROOT / "deploy/nginx", **settings):
        """The nginx of the image lectern-web, on ports of its own."""
        (self.folder / "acme").mkdir(exist_ok=True)
        nginx = Nginx(free_port(), free_port(), free_port())
        environment = {
            "PATH": f"{NGINX / 'usr/sbin'}:{os.environ['PATH']}",
            "LECTERN_API": api or self.lectern.api,
            "LECTERN_WEB_RUN": str(self.folder / f"nginx-{name}"),
            "LECTERN_WEB_PAGE": str(ROOT / "web/dist"),
            "LECTERN_WEB_TLS": str(self.folder / "tls"),
            "LECTERN_WEB_ACME": str(self.folder / "acme"),
            "LECTERN_WEB_FLAGS": str(self.flags),
            "LECTERN_WEB_MIME": str(NGINX / "etc/nginx/mime.types"),
            "LECTERN_WEB_LOG": str(self.folder / f"nginx-{name}.access.log"),
            "LECTERN_WEB_HTTP_PORT": str(nginx.http_port),
            "LECTERN_WEB_HTTPS_PORT": str(nginx.https_port),
            "LECTERN_WEB_HEALTH_PORT": str(nginx.health_port),
            **settings,
        }
        nginx.process = self.running.start(f"nginx-{name}", [folder / "start.sh"], environment)
        nginx.environment = environment
        wait(nginx.listens, f"nginx-{name}", lambda: self.running.log(f"nginx-{name}"))
        return nginx

    def get(self, path, nginx=None, **headers):
        return self.fetch("GET", path, nginx=nginx, headers=headers)

    def fetch(self, method, path, body=None, nginx=None, headers=None, host=DOMAIN):
        """Over TLS, unless another nginx is given."""
        connection = self.connection(nginx, host)
        try:
            connection.request(method, path, body, {"Host": host, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connection(self, nginx=None, host=DOMAIN):
        if nginx is not None:
            return http.client.HTTPConnection("127.0.0.1", nginx.http_port, timeout=60)
        context = ssl.create_default_context(cafile=self.authority)
        return NamedConnection(host, self.https.https_port, context)

    @contextlib.contextmanager
    def maintenance(self):
        flag = self.flags / "maintenance"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()


class Nginx:
    def __init__(self, http_port, https_port, health_port):
        self.http_port, self.https_port, self.health_port = http_port, https_port, health_port

    def listens(self):
        socket.create_connection(("127.0.0.1", self.health_port), 1).close()
        return True


class NamedConnection(http.client.HTTPSConnection):
    """To 127.0.0.1, under a name that no DNS knows."""

    def __init__(self, host, port, context):
        super().__init__(host, port, timeout=60, context=context)
        self.named = context

    def connect(self):
        self.sock = self.named.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 60), server_hostname=self.host)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def slow_language_model(stack):
    class Model(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            with contextlib.suppress(OSError):
                for number in range(TOKENS):
                    self.say({"choices": [{"index": 0, "delta": {"role": "assistant", "content": f"word{number} "}}]})
                    time.sleep(TOKEN_PAUSE_S)
                self.say({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")

        def say(self, chunk):
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "slow", **chunk}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.flush()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/v1"


def stream(connection, meanwhile=lambda: None):
    """When each token of an answer came, and all that came."""
    body = json.dumps({"question": f"How much may a hotel night cost in Zurich? {uuid.uuid4()}"})
    headers = {"Host": DOMAIN, "Content-Type": "application/json", "Accept": "text/event-stream", **KEY}
    connection.request("POST", "/api/v1/questions", body, headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    times, text = [], ""
    # Beside it: tokens that nobody reads meanwhile would come in a heap.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = None
        for line in response:
            text += line.decode()
            if line.startswith(b"event: token"):
                done = done or pool.submit(meanwhile)
                times.append(time.monotonic())
        connection.close()
        assert done, text
        done.result()
    return times, text


def assert_one_by_one(times, text):
    assert "event: done" in text, text
    assert len(times) > TOKENS // 2, text
    pauses = [later - earlier for earlier, later in zip(times, times[1:])]
    # Held back, they would come in one or two heaps.
    apart = sum(pause > TOKEN_PAUSE_S / 3 for pause in pauses)
    assert apart > TOKENS // 2, [round(pause, 2) for pause in pauses]


def form(size):
    """The head and the tail of a form with a file of so many bytes."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="large.pdf"\r\n\r\n'.encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    return head, tail, {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(len(head) + size + len(tail)), **KEY}


def upload(world, size):
    """A PDF by its first bytes, and nothing that anybody could read."""
    head, tail, headers = form(size)
    connection = world.connection()
    connection.putrequest("POST", "/api/v1/documents", skip_host=True)
    for name, value in {"Host": DOMAIN, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(head)
    first = b"%PDF-1.7\n" + uuid.uuid4().bytes
    block = bytes(1 << 20)
    left = size - len(first)
    with contextlib.suppress(OSError):  # who refuses needn't read it all
        connection.send(first)
        while left > 0:
            connection.send(block[: min(left, len(block))])
            left -= len(block)
        connection.send(tail)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


# ---------------------------------------------------------------- what comes through


def test_tokens_of_an_answer_come_through_one_by_one(world):
    assert_one_by_one(*stream(world.connection()))


def test_tokens_come_one_by_one_through_a_second_proxy_that_holds_back_by_default(world):
    port = free_port()
    folder = world.folder / "second"
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path {folder}/b; "
        f"proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; "
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{world.http.http_port}; }} }} }}"
    )
    command = [NGINX / "usr/sbin/nginx", "-e", "stderr", "-c", folder / "nginx.conf", "-g", "daemon off;"]
    world.running.start("nginx-second", command, dict(os.environ))
    second = Nginx(port, None, port)
    wait(second.listens, "the second proxy", lambda: world.running.log("nginx-second"))
    assert_one_by_one(*stream(world.connection(second)))


def test_an_upload_of_exactly_the_limit_comes_through_and_larger_ones_are_refused_with_a_reason(world):
    answer = upload(world, UPLOAD_BYTES_MAX)
    assert answer.status == 202, answer.body
    world.fetch("DELETE", f"/api/v1/documents/{answer.json()['id']}", headers=KEY)
    # One byte more is refused by the API, much more by nginx, in the same words.
    for size in (UPLOAD_BYTES_MAX + 1, UPLOAD_BYTES_MAX + (2 << 20)):
        answer = upload(world, size)
        assert answer.status == 413 and answer.json()["code"] == "too_large", (size, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert str(UPLOAD_BYTES_MAX) in answer.json()["detail"]


def test_other_bodies_have_a_small_limit(world):
    answer = world.fetch("POST", "/api/v1/search", bytes(5 << 20), headers=KEY)
    assert answer.status == 413, answer.status


def test_answers_of_the_api_are_compressed_and_a_tag_from_there_still_counts(world):
    # A short answer isn't worth it; this one is.
    answer = world.get("/api/v1/operations", **KEY, **{"Accept-Encoding": "gzip"})
    assert answer.status == 200 and answer.headers["Content-Encoding"] == "gzip", answer.headers.as_string()
    again = world.get("/api/v1/documents", **KEY, **{"Accept-Encoding": "gzip"})
    assert again.headers["ETag"], again.headers.as_string()
    again = world.get("/api/v1/documents", **KEY, **{"Accept-Encoding": "gzip", "If-None-Match": again.headers["ETag"]})
    assert again.status == 304, again.status


# ---------------------------------------------------------------- the page


def test_the_page_comes_with_the_headers_that_the_api_would_send(world):
    for path in ("/reference", "/"):
        own = world.get(path)
        direct = http.client.HTTPConnection(world.lectern.api)
        direct.request("GET", path)
        theirs = direct.getresponse()
        for name in ("Content-Security-Policy", "Referrer-Policy", "Permissions-Policy", "Cross-Origin-Opener-Policy", "X-Content-Type-Options"):
            assert theirs.headers[name] and own.headers[name] == theirs.headers[name], (path, name, own.headers[name], theirs.headers[name])
        assert own.status == 200 and own.body == theirs.read(), path
        direct.close()
    assert own.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert own.headers["X-Frame-Options"] == "DENY"
    assert "nginx/" not in own.headers["Server"]
    assert world.get("/", nginx=world.http).headers["Strict-Transport-Security"] is None


def test_what_keeps_its_name_is_never_kept_and_what_has_its_hash_is_for_ever(world):
    for path in ("/", "/widget.js", "/widget-demo", "/reference"):
        answer = world.get(path)
        assert answer.status == 200 and answer.headers["Cache-Control"] == "no-cache", (path, answer.status, answer.headers.as_string())
        assert answer.headers["Last-Modified"] is None
        again = world.get(path, **{"If-None-Match": answer.headers["ETag"]})
        assert again.status == 304, (path, again.status)
    assert world.get("/widget.js").headers["Access-Control-Allow-Origin"] == "*"
    for asset in (ROOT / "web/dist/assets").glob("*.*js"):
        answer = world.get(f"/assets/{asset.name}", **{"Accept-Encoding": "gzip"})
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", asset
        assert answer.headers["Content-Encoding"] == "gzip", asset
        # A module of another type is not run.
        assert "javascript" in answer.headers["Content-Type"], (asset, answer.headers["Content-Type"])
    # As the image has it: what is packed is there in no other way.
    page = world.folder / "packed"
    shutil.copytree(ROOT / "web/dist", page)
    for packed in (page / "assets").rglob("*.gz"):
        packed.with_suffix("").unlink()
    small = world.nginx("packed", LECTERN_WEB_PAGE=str(page))
    for asset in (ROOT / "web/dist/assets").glob("*.*"):
        if asset.suffix in (".js", ".mjs", ".css"):
            plain = world.get(f"/assets/{asset.name}", nginx=small)
            assert plain.status == 200 and plain.body == asset.read_bytes() and plain.headers["Content-Encoding"] is None, asset
            assert plain.headers["Vary"] == "Accept-Encoding", plain.headers.as_string()
            packed = world.get(f"/assets/{asset.name}", nginx=small, **{"Accept-Encoding": "gzip"})
            assert packed.headers["Content-Encoding"] == "gzip" and len(packed.body) < len(plain.body), asset
    missing = world.get("/assets/gone-12345678.js")
    assert missing.status == 404 and "immutable" not in (missing.headers["Cache-Control"] or ""), missing.headers.as_string()


def test_metrics_stay_inside(world):
    assert world.get("/metrics").status == 404
    assert world.get("/metrics", nginx=world.http).status == 404


# ---------------------------------------------------------------- TLS


def test_http_leads_to_https_and_www_to_the_bare_name_with_path_and_query(world):
    for host in (DOMAIN, f"www.{DOMAIN}", "other.test"):
        answer = world.fetch("POST", "/a/b?c=d", nginx=world.https, host=host)
        assert answer.status == 308 and answer.headers["Location"] == f"https://{DOMAIN}/a/b?c=d", (host, answer.headers["Location"])
    answer = world.fetch("GET", "/a?b=c", host=f"www.{DOMAIN}")
    assert answer.status == 308 and answer.headers["Location"] == f"https://{DOMAIN}/a?b=c", answer.headers.as_string()
    challenge = world.folder / "acme/.well-known/acme-challenge"
    challenge.mkdir(parents=True)
    (challenge / "token").write_text("proof")
    assert world.get("/.well-known/acme-challenge/token", nginx=world.https).body == b"proof"


def test_tls_is_1_2_or_1_3_and_strangers_to_the_name_get_none(world):
    def handshake(version, name=DOMAIN):
        context = ssl.create_default_context(cafile=world.authority)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        with warnings.catch_warnings(action="ignore"):  # of versions that nobody should use
            context.minimum_version = context.maximum_version = version
        with context.wrap_socket(socket.create_connection(("127.0.0.1", world.https.https_port), 10), server_hostname=name) as tls:
            return tls.selected_alpn_protocol()

    assert handshake(ssl.TLSVersion.TLSv1_2) == "h2"
    assert handshake(ssl.TLSVersion.TLSv1_3) == "h2"
    for version, name in ((ssl.TLSVersion.TLSv1_1, DOMAIN), (ssl.TLSVersion.TLSv1_3, "other.test")):
        try:
            handshake(version, name)
        except ssl.SSLError as error:
            assert "ALERT" in str(error).upper() or "UNRECOGNIZED" in str(error).upper(), error
        else:
            raise AssertionError(f"{version} for {name} was taken")


# ---------------------------------------------------------------- maintenance


def test_maintenance_answers_503_everywhere_but_for_health_and_ends_without_a_reload(world):
    assert world.get("/").status == 200
    with world.maintenance():
        for path in ("/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"):
            assert world.get(path).status == 200, path
        assert world.get("/api/v1/health").json()["status"] == "ready"
        for path in ("/", "/widget-demo", "/reference", "/nowhere"):
            page = world.get(path)
            assert page.status == 503 and page.headers["Retry-After"] == "60", (path, page.status, page.headers.as_string())
            assert page.headers["Content-Type"].startswith("text/html") and b"<style>" in page.body, path
            assert "style-src 'unsafe-inline'" in page.headers["Content-Security-Policy"]
        for method, path in (("GET", "/api/v1/documents"), ("POST", "/api/v1/documents"), ("POST", "/v1/chat/completions"), ("DELETE", "/api/v1/keys/1")):
            answer = world.fetch(method, path, headers=KEY)
            assert answer.status == 503 and answer.headers["Retry-After"] == "60", (path, answer.status)
            assert answer.json()["code"] == "unavailable" and answer.headers["Content-Type"] == "application/problem+json"
        assert world.get("/widget.js").status == 200
    assert world.get("/").status == 200
    assert world.get("/api/v1/documents", **KEY).status == 200


def test_an_answer_under_way_when_maintenance_begins_is_told_to_its_end(world):
    with contextlib.ExitStack() as stack:
        times, text = stream(world.connection(), meanwhile=lambda: stack.enter_context(world.maintenance()))
        assert_one_by_one(times, text)
        assert world.get("/").status == 503


def test_an_api_that_is_away_is_told_in_the_same_way_and_another_one_is_found_without_a_cut(world):
    nowhere = f"127.0.0.1:{free_port()}"
    nginx = world.nginx("nowhere", api=nowhere)
    page, answer = world.get("/nowhere", nginx=nginx), world.get("/api/v1/documents", nginx=nginx)
    assert page.status == 503 and b"<style>" in page.body, page.status
    assert answer.status == 503 and answer.json()["code"] == "unavailable" and answer.headers["Retry-After"], answer.body
    # As a deploy leads requests to other containers.
    upstream = world.flags / "upstream.map"
    upstream.write_text(f'"" "{world.lectern.api}";\n')
    try:
        nginx.process.send_signal(signal.SIGHUP)
        wait(lambda: world.get("/api/v1/health/ready", nginx=nginx).status == 200, "the other API")
        # And back, while an answer is under way.
        def back():
            upstream.unlink()
            nginx.process.send_signal(signal.SIGHUP)
            wait(lambda: world.get("/api/v1/health/ready", nginx=nginx).status == 503, "the way back")

        assert_one_by_one(*stream(world.connection(nginx), meanwhile=back))
    finally:
        upstream.unlink(missing_ok=True)


def test_a_release_laid_over_the_image_is_served_after_a_reload_and_one_that_nginx_refuses_is_not(world):
    nginx = world.nginx("releases", LECTERN_WEB_VERSION="one")
    pages = {"one": world.get("/", nginx=nginx).body}
    for version in ("two", "sick"):
        release = world.flags / "release" / version
        shutil.copytree(ROOT / "deploy/nginx", release / "nginx")
        (release / "page").mkdir()
        (release / "page/index.html").write_text(f"<title>{version}</title>")
        (release / "version").write_text(f"{version}\n")
    (world.flags / "release/sick/nginx/server.conf").open("a").write("nonsense;\n")

    def reload(version):
        # It has its page beside it, whatever the image's is.
        return subprocess.run([world.flags / "release" / version / "nginx/start.sh", "reload"], env=nginx.environment, capture_output=True, text=True)

    def back_and_forth():
        assert reload("two").returncode == 0
        wait(lambda: world.get("/", nginx=nginx).body == b"<title>two</title>", "the other page")

    assert_one_by_one(*stream(world.connection(nginx), meanwhile=back_and_forth))
    refused = reload("sick")
    assert refused.returncode != 0 and "nonsense" in refused.stderr, refused
    assert world.get("/", nginx=nginx).body == b"<title>two</title>"
    again = subprocess.run([ROOT / "deploy/nginx/start.sh", "reload"], env=nginx.environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    wait(lambda: world.get("/", nginx=nginx).body == pages["one"], "the page of the image")


# ---------------------------------------------------------------- who asks, and how often


def attempts(world, nginx, addresses, header="X-Forwarded-For"):
    """What strangers get who say that they come from these addresses."""
    headers = {"Authorization": "Bearer wrong"}
    return [world.get("/api/v1/documents", nginx=nginx, **headers, **{header: address}).status for address in addresses]


def test_behind_a_proxy_of_ours_its_word_counts_and_elsewhere_nobodys(world):
    private = world.nginx("private", LECTERN_CDN="private")
    # Three wrong keys of an address in a minute; another address has three of its own.
    assert attempts(world, private, ["203.0.113.7"] * 4) == [401, 401, 401, 429]
    assert attempts(world, private, ["203.0.113.8"]) == [401]
    # What stands before what the proxy wrote is anybody's.
    assert attempts(world, private, ["198.51.100.1, 203.0.113.7"]) == [429]
    # Without a proxy, whatever they say is nothing.
    assert attempts(world, world.http, [f"203.0.113.{number}" for number in range(20, 24)]) == [401, 401, 401, 429]


def test_behind_cloudflare_its_header_counts_and_only_from_its_addresses(world):
    # Its ranges, and this machine in the place of one of its servers.
    folder = world.folder / "behind-cloudflare"
    shutil.copytree(ROOT / "deploy/nginx", folder)
    (folder / "cdn/cloudflare.conf").open("a").write("set_real_ip_from 127.0.0.1;\n")
    cloudflare = world.nginx("cloudflare", folder=folder, LECTERN_CDN="cloudflare")
    assert attempts(world, cloudflare, ["203.0.113.40"] * 4, "CF-Connecting-IP") == [401, 401, 401, 429]
    assert attempts(world, cloudflare, ["203.0.113.41", "2001:db8::41"], "CF-Connecting-IP") == [401, 401]
    # Whoever comes past Cloudflare is who connects, whatever the header says: each attempt is of this one address, which the
    # test before has used up.
    direct = world.nginx("past-cloudflare", LECTERN_CDN="cloudflare")
    assert set(attempts(world, direct, [f"203.0.113.{number}" for number in range(50, 55)], "CF-Connecting-IP")) <= {401, 429}
    assert attempts(world, direct, ["203.0.113.60"], "CF-Connecting-IP") == [429]


def test_who_comes_too_often_is_told_so_at_the_edge_and_health_never(world):
    strict = world.nginx("strict", LECTERN_EDGE_REQUESTS_PER_SECOND="2", LECTERN_EDGE_BURST="5")
    answers = [world.get("/", nginx=strict) for _ in range(30)]
    refused = [answer for answer in answers if answer.status == 429]
    assert answers[0].status == 200 and refused, [answer.status for answer in answers]
    assert refused[0].json()["code"] == "rate_limited" and refused[0].headers["Retry-After"] == "1"
    assert {world.get("/api/v1/health/live", nginx=strict).status for _ in range(30)} == {200}


# ---------------------------------------------------------------- settings


def test_settings_that_make_no_sense_end_the_start_with_the_next_step(world):
    for settings, word in (
        ({"LECTERN_TLS": "on"}, "LECTERN_DOMAIN"),
        ({"LECTERN_TLS": "maybe"}, "on or off"),
        ({"LECTERN_TLS": "on", "LECTERN_DOMAIN": DOMAIN, "LECTERN_WEB_TLS": "/nowhere"}, "LECTERN_TLS=off"),
        ({"LECTERN_CDN": "other"}, "cloudflare"),
        ({"LECTERN_UPLOAD_BYTES_MAX": "100m"}, "no whole number"),
        ({"LECTERN_DOMAIN": "a;b"}, "characters"),
    ):
        environment = {"PATH": os.environ["PATH"], "LECTERN_WEB_RUN": str(world.folder / "refused"), **settings}
        ended = subprocess.run([ROOT / "deploy/nginx/start.sh"], env=environment, capture_output=True, text=True, timeout=10)
        assert ended.returncode == 1 and word in ended.stderr, (settings, ended.returncode, ended.stderr)


def test_every_cdn_is_one_that_nginx_understands(world):
    for cdn in (ROOT / "deploy/nginx/cdn").glob("*.conf"):
        world.nginx(f"cdn-{cdn.stem}", LECTERN_CDN=cdn.stem)


if __name__ == "__main__":
    main()
