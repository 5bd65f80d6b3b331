#!/usr/bin/env python3
"""Runs the production stack with Docker and uses it through nginx with TLS; production.sh starts this.

Checks: sizes of images, times from start to ready, what containers may do and which ports are open, limits that add up;
uploads and questions, four workers that share the work, one of them killed, nothing lost; memory idle and under load.
Ends with a table of the figures. Everything has a name of its own, and is removed at the end but with --keep.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
from datetime import datetime

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = "test"
PROJECT = "lectern-test"
DOMAIN = "lectern.test"
DEADLINE_S = 300
MIB = 1 << 20
MB = 10**6

# Bytes of each image above its base, at the most.
SIZES_MAX = {"api": 25 * MB, "worker": 170 * MB, "web": 5 * MB}
# From the start of a container to the line of its log that says that it is ready.
READY_SECONDS_MAX = {"api": 1.0, "worker": 2.0}
LIMITS_MAX = 4096 * MIB
STAND_INS_LACK = {"grafana"}


def main():
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        server = Server(folder)
        if "--keep" not in sys.argv:
            stack.callback(server.compose, "down", "--volumes", "--timeout", "10")
        failed = []
        for test in (sizes, limits, start, containers, ports, ready_in_time, ask, idle, scale_and_kill, monitoring, deploy_beside):
            begin = time.monotonic()
            try:
                test(server)
                print(f"ok      {test.__name__.replace('_', ' ')} ({time.monotonic() - begin:.1f} s)", flush=True)
            except Exception as error:
                failed.append(test.__name__)
                print(f"FAILED  {test.__name__.replace('_', ' ')}: {error!r}", flush=True)
                if test is start:
                    print(server.compose("logs", "--tail", "20"))
                    break
        server.report()
        print(f"{11 - len(failed)} passed, {len(failed)} failed")
        sys.exit(1 if failed else 0)


def run(*command, check=True, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return done.stdout


class Server:
    """The stack, its settings, and what was measured."""

    def __init__(self, folder):
        self.folder = folder
        self.figures = []
        self.memory = {}
        self.key = None
        self.https_port, self.http_port, self.prometheus_port = (free_port() for _ in range(3))
        files = os.sysconf("SC_OPEN_MAX")
        self.settings = folder / "production.env"
        self.settings.write_text(
            f"LECTERN_DOMAIN={DOMAIN}\nPOSTGRES_PASSWORD={secrets.token_hex(16)}\nREDIS_PASSWORD={secrets.token_hex(16)}\n"
            f"GRAFANA_PASSWORD={secrets.token_hex(16)}\nLECTERN_VERSION={VERSION}\nLECTERN_TLS_FOLDER={folder}/tls\n"
            f"LECTERN_ACME_FOLDER={folder}/acme\nLECTERN_HTTP_PORT={self.http_port}\nLECTERN_HTTPS_PORT={self.https_port}\n"
            f"LECTERN_PROMETHEUS_PORT={self.prometheus_port}\nLECTERN_GRAFANA_PORT={free_port()}\n"
            # Another stack may run here, and not every machine lets a container have more than itself.
            f"LECTERN_SUBNET=172.31.208.0/24\nLECTERN_OPEN_FILES_MAX={min(files, 65536)}\n"
        )
        (folder / "acme").mkdir()
        (folder / "tls").mkdir()
        self.certificate = folder / "tls/fullchain.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN},DNS:www.{DOMAIN}",
            "-keyout", folder / "tls/privkey.pem", "-out", self.certificate)  # fmt: skip
        (folder / "tls/privkey.pem").chmod(0o644)
        lacking = STAND_INS_LACK if os.environ.get("LECTERN_TEST_STAND_INS") else set()
        self.services = sorted(set(self.compose("config", "--services").split()) - lacking)

    def compose(self, *arguments):
        return run("docker", "compose", "--project-name", PROJECT, "--env-file", self.settings,
                   "--file", ROOT / "deploy/compose.prod.yml", *arguments)  # fmt: skip

    def containers(self, service):
        return self.compose("ps", "--quiet", service).split()

    def inspect(self, container):
        return json.loads(run("docker", "inspect", container))[0]

    def request(self, method, path, body=None, **headers):
        context = ssl.create_default_context(cafile=self.certificate)
        connection = http.client.HTTPSConnection(DOMAIN, timeout=60)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.https_port), 60), server_hostname=DOMAIN)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **headers})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get(self, path):
        status, body = self.request("GET", path)
        assert status == 200, (path, status, body[:300])
        return json.loads(body)

    def upload(self, name, content):
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        kind = f"multipart/form-data; boundary={boundary}"
        body = head + content + f"\r\n--{boundary}--\r\n".encode()
        for _ in range(5):
            status, answer = self.request("POST", "/api/v1/documents", body, **{"Content-Type": kind})
            if status != 503:
                break
            time.sleep(2)  # too much to do: as it says, and as every client should do
        assert status in (200, 202), (name, status, answer[:300])
        return json.loads(answer)["id"]

    def ask(self, question):
        """The answer's events to their end."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        status, body = self.request("POST", "/api/v1/questions", json.dumps({"question": question}), **headers)
        assert status == 200, (status, body[:300])
        return body.decode()

    def note_memory(self, when):
        """The most that a container of each service has been seen with, as the limit counts it without the file cache."""
        containers = self.compose("ps", "--quiet").split()
        lines = run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *containers).splitlines()
        for line in lines:
            name, used, _, limit = line.split()
            service = re.fullmatch(rf"{PROJECT}-(.+)-\d+", name).group(1)
            row = self.memory.setdefault(service, {"limit": mebibytes(limit)})
            row[when] = max(row.get(when, 0), mebibytes(used))

    def note(self, what, figure):
        self.figures.append((what, figure))

    def report(self):
        print("\n| What | Figure |\n|---|---|")
        for what, figure in self.figures:
            print(f"| {what} | {figure} |")
        print("\n| Service | Limit, MiB | Idle | Under load |\n|---|---|---|---|")
        for service, row in sorted(self.memory.items()):
            print(f"| `{service}` | {row['limit']:.0f} | {row.get('idle', 0):.0f} | {row.get('load', 0):.0f} |")
        print(flush=True)


def mebibytes(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * {"B": 1 / MIB, "KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait(is_there, what, deadline_s=DEADLINE_S):
    until = time.monotonic() + deadline_s
    while True:
        with contextlib.suppress(OSError, AssertionError, KeyError, ValueError):
            if is_there():
                return
        assert time.monotonic() < until, f"waited for {what} in vain"
        time.sleep(0.2)


# ---------------------------------------------------------------- before it runs


def sizes(server):
    """An image has the layers of its base first; what comes after them is ours."""
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    too_large = []
    bases = dict(re.findall(r"^ARG (DEBIAN|NGINX)=(\S+)", dockerfile, re.M))
    for name, bytes_max in SIZES_MAX.items():
        base = bases["NGINX" if name == "web" else "DEBIAN"]
        image, below = (json.loads(run("docker", "image", "inspect", of))[0] for of in (f"lectern-{name}:{VERSION}", base))
        layers = below["RootFS"]["Layers"]
        assert image["RootFS"]["Layers"][: len(layers)] == layers, f"lectern-{name} isn't made of {base}"
        above = image["Size"] - below["Size"]
        server.note(f"Image `lectern-{name}` above its base", f"{above / MB:.1f} MB")
        if above > bytes_max:
            too_large.append(f"lectern-{name}: {above / MB:.1f} MB, {bytes_max / MB:.0f} allowed")
    assert not too_large, too_large


def limits(server):
    services = json.loads(server.compose("config", "--format", "json"))["services"]
    total = 0
    for name, service in services.items():
        assert service.get("mem_limit"), f"{name} has no limit"
        assert service["logging"]["options"]["max-size"], f"the log of {name} grows without end"
        assert service["restart"] == "unless-stopped", name
        total += int(service["mem_limit"]) * int(service.get("deploy", {}).get("replicas", 1))
    server.note("Memory limits of the whole stack", f"{total / MIB:.0f} MiB")
    assert total < LIMITS_MAX, f"{total / MIB:.0f} MiB"


# ---------------------------------------------------------------- it runs


def start(server):
    begin = time.monotonic()
    server.compose("up", "--detach", "--no-build", "--wait", *server.services)
    server.note("The whole stack, from nothing to healthy", f"{time.monotonic() - begin:.1f} s")
    server.key = re.search(r"keep it: (lectern_sk_\w+)", server.compose("logs", "api")).group(1)
    assert server.get("/api/v1/health")["workers"]["alive"] == 2


def containers(server):
    """What each program of Lectern may do inside of its container."""
    for service in ("api", "worker", "web"):
        state = server.inspect(server.containers(service)[0])
        host = state["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["Privileged"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert state["Config"]["User"].split(":")[0] not in ("", "0", "root"), service
        labels = state["Config"]["Labels"]
        assert labels["org.opencontainers.image.version"] == VERSION, labels
        process = pathlib.Path(f"/proc/{state['State']['Pid']}/status")
        if process.exists():  # the engine may be on another machine
            status = process.read_text()
            assert re.search(r"^CapEff:\s+0+$", status, re.M) and not re.search(r"^Uid:\s+0\s", status, re.M), status
    logs = server.compose("logs", "worker")
    assert '"seccomp":true' in logs, "parsers aren't locked in"


def ports(server):
    for container in server.compose("ps", "--quiet").split():
        for port, bindings in server.inspect(container)["NetworkSettings"]["Ports"].items():
            for binding in bindings or []:
                assert binding["HostIp"] == "127.0.0.1", (port, binding)


def ready_in_time(server):
    """From the start of the container to the line that says so, with a database that is up; the best of three."""
    for service, line in (("api", "listening"), ("worker", "ready")):
        container = server.containers(service)[0]
        times = []
        for _ in range(3):
            run("docker", "restart", "--time", "20", container)
            started = timestamp(server.inspect(container)["State"]["StartedAt"])

            def told():
                since = server.inspect(container)["State"]["StartedAt"]
                logs = subprocess.run(["docker", "logs", "--since", since, container], capture_output=True, text=True)
                found = [json.loads(each) for each in (logs.stdout + logs.stderr).splitlines() if each.startswith("{")]
                found = [each for each in found if each.get("message") == line]
                return found and timestamp(found[-1]["timestamp"])

            wait(told, f"{service} to be ready", 60)
            times.append(told() - started)
        best = min(times)
        server.note(f"`{service}` from start to ready", ", ".join(f"{each:.2f} s" for each in sorted(times)))
        assert best <= READY_SECONDS_MAX[service], f"{service}: {times}"
    server.compose("up", "--detach", "--no-build", "--wait", *server.services)


def timestamp(text):
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")).timestamp()


def ask(server):
    document = server.upload("handbook.pdf", (ROOT / "worker/tests/files/handbook.pdf").read_bytes())
    wait(lambda: server.get(f"/api/v1/documents/{document}")["state"] == "ready", "the document")
    answer = server.ask("How much is the daily allowance abroad?")
    assert "event: token" in answer and "event: done" in answer and '"cited":[1]' in answer, answer[-500:]
    status, page = server.request("GET", "/")
    assert status == 200 and b"<title>" in page


def idle(server):
    time.sleep(10)
    for _ in range(3):
        server.note_memory("idle")


def scale_and_kill(server):
    """Four workers share what is there; one is killed in the middle of it, and nothing is lost."""
    server.compose("up", "--detach", "--no-build", "--no-recreate", "--wait", "--scale", "worker=4", *server.services)
    wait(lambda: server.get("/api/v1/health")["workers"]["alive"] == 4, "four workers")
    texts = [text_of(number) for number in range(48)]
    begin = time.monotonic()
    watched = threading.Event()
    watcher = threading.Thread(target=watch, args=(server, watched))
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            documents = list(pool.map(lambda text: server.upload(*text), texts))
        workers = server.containers("worker")
        wait(lambda: sum(states(server).values()) == len(texts) + 1 and states(server).get("ready", 0) >= 8, "the first documents")
        run("docker", "kill", "--signal", "KILL", workers[0])
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: server.ask(f"Which code has the valve of station {number}?"), range(24)))
        wait(lambda: states(server) == {"ready": len(texts) + 1}, "all documents")
    finally:
        watched.set()
        watcher.join()
    lost = [answer for answer in answers if "event: done" not in answer]
    assert not lost, lost[0][-500:]
    server.note("48 documents of 30 passages with 4 workers, one of them killed, 24 questions meanwhile", f"{time.monotonic() - begin:.0f} s, nothing lost")
    shares = {container[:12]: jobs_done(container) for container in workers}
    server.note("Jobs that each of these workers had ended at last", ", ".join(str(share) for share in shares.values()))
    idle_ones = [name for name, share in list(shares.items())[1:] if share == 0]
    assert not idle_ones, f"workers without work: {shares}"
    assert documents


def watch(server, ended):
    while not ended.wait(1):
        server.note_memory("load")


def states(server):
    found, cursor = {}, ""
    while cursor is not None:
        page = server.get(f"/api/v1/documents?limit=200{cursor and '&cursor=' + urllib.parse.quote(cursor)}")
        for document in page["documents"]:
            found[document["state"]] = found.get(document["state"], 0) + 1
        cursor = page["next"]
    return found


def jobs_done(container):
    """What the worker's log says: one line for each job."""
    logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
    return sum('"job.id"' in line and '"INFO"' in line for line in (logs.stdout + logs.stderr).splitlines())


def text_of(number):
    words = "pump valve pressure station inspection seal turbine flange bearing filter".split()
    paragraphs = []
    for part in range(30):
        turned = " ".join(words[(number + part + index) % len(words)] for index in range(60))
        paragraphs.append(f"Station {number}, part {part}: the valve has the code V-{number:03}-{part:02}. {turned}.")
    return f"station-{number}.txt", "\n\n".join(paragraphs).encode()


def monitoring(server):
    """Everything that Prometheus should scrape answers it, and the rules are ones that it understands."""

    def query(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.prometheus_port}/api/v1/{path}", timeout=10) as response:
            return json.load(response)["data"]

    def all_up():
        up = query("query?query=" + urllib.parse.quote("count by (job) (up == 1)"))["result"]
        return {each["metric"]["job"] for each in up} >= {"lectern-api", "lectern-worker", "postgres", "redis", "node", "prometheus"}

    wait(all_up, "all targets of Prometheus", 90)
    bad = [rule for group in query("rules")["groups"] for rule in group["rules"] if rule["health"] == "err"]
    assert not bad, bad


def deploy_beside(server):
    """Another version takes over while people search and read answers as they are written: no request fails, no stream is cut."""
    script = ROOT / "deploy/deploy.sh"
    if not script.exists():
        server.note("Deploy of another version under load", "not tried: there is no deploy/deploy.sh")
        return
    other = f"{VERSION}-next"
    for name in SIZES_MAX:
        run("docker", "tag", f"lectern-{name}:{VERSION}", f"lectern-{name}:{other}")
    environment = {
        **os.environ,
        "LECTERN_ENV_FILE": str(server.settings),
        "LECTERN_COMPOSE_PROJECT": PROJECT,
        "LECTERN_DEPLOY_STATE": str(server.folder / "deploys"),
        "LECTERN_DEPLOY_FREE_MIB": "100",
        "LECTERN_DEPLOY_DRAIN_SECONDS": "60",
    }
    ended = threading.Event()
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        people = [pool.submit(search_until, server, ended), pool.submit(read_until, server, ended, 0), pool.submit(read_until, server, ended, 1)]
        try:
            run(script, "backend", "--version", other, "--blue-green", "--skip-backup", env=environment)
        finally:
            ended.set()
        (searches, failed), *answers = (each.result() for each in people)
    cut = [answer for _, found in answers for answer in found]
    asked = sum(count for count, _ in answers)
    server.note("Deploy of another version under load", f"{time.monotonic() - begin:.0f} s, {searches} searches ({len(failed)} failed), {asked} streams ({len(cut)} cut)")
    assert not failed and not cut, (failed[:3], [answer[-300:] for answer in cut[:3]])
    images = {server.inspect(container)["Config"]["Image"] for service in ("api", "worker") for container in server.containers(service)}
    assert images == {f"lectern-api:{other}", f"lectern-worker:{other}"}, images


def search_until(server, ended):
    count, failed = 0, []
    while not ended.is_set():
        body = json.dumps({"question": f"code of the valve of station {count % 48}", "passages": 1})
        try:
            status, answer = server.request("POST", "/api/v1/search", body, **{"Content-Type": "application/json"})
            if status != 200:
                failed.append((status, answer[:200]))
        except OSError as error:
            failed.append(repr(error))
        count += 1
        time.sleep(0.05)
    return count, failed


def read_until(server, ended, number):
    count, cut = 0, []
    while not ended.is_set():
        answer = server.ask(f"Which code has the valve of station {count % 48}, part {number}?")
        if "event: done" not in answer:
            cut.append(answer)
        count += 1
    return count, cut


if __name__ == "__main__":
    main()
