#!/usr/bin/env bash
# Builds the Kubernetes manifests with kustomize and holds them against Kubernetes' own schemas, strictly.
#
#   make test-kubernetes
#
# Needs kubectl (for kustomize) and Python; the schemas come with the package kubernetes-validate. KEDA's ScaledObject isn't
# among them: it is held against the types of KEDA's definition, from the package @kubernetes-models/keda, by the page's
# TypeScript; and its metrics against those that Lectern has, by the test of the documents (tidy).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
tools=$root/.dev/kubernetes
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf 'lectern: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

command -v kubectl >/dev/null || die 'kubectl is missing: install it, its version 1.27 or later'
if [ ! -x "$tools/bin/kubernetes-validate" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
fi

keda=0.4.2
if ! grep -qs "\"version\": \"$keda\"" "$tools/keda/package/package.json"; then
  mkdir -p "$tools/keda"
  (cd "$tools/keda" && rm -rf ./* && npm pack --silent "@kubernetes-models/keda@$keda" >/dev/null && tar -xzf ./*.tgz) || die "npm couldn't fetch @kubernetes-models/keda: check the network and try again"
fi
tsc=$root/web/node_modules/.bin/tsc
[ -x "$tsc" ] || die "TypeScript is missing: run 'make web'"

# scales FOLDER: its ScaledObject has what KEDA's definition names, and nothing else
scales() {
  local check=$scratch/check
  rm -rf "$check"
  mkdir "$check"
  kubectl kustomize "$1" >"$check/manifests.yaml"
  {
    echo "import type { IScaledObject } from \"$tools/keda/package/keda.sh/v1alpha1/ScaledObject\"; export const scaled: IScaledObject[] ="
    "$tools/bin/python" -c 'import json, sys, yaml
print(json.dumps([each for each in yaml.safe_load_all(sys.stdin) if each["kind"] == "ScaledObject"]))' <"$check/manifests.yaml"
  } >"$check/keda.ts"
  grep -q '"triggers"' "$check/keda.ts" || die "$1 has no ScaledObject"
  (cd "$check" && "$tsc" --strict --noEmit --skipLibCheck --moduleResolution bundler --module esnext --target esnext keda.ts)
}

# validate FOLDER VERSION
validate() {
  kubectl kustomize "$1" >"$scratch/manifests.yaml"
  "$tools/bin/kubernetes-validate" --strict --quiet --no-warn --kubernetes-version "$2" "$scratch/manifests.yaml" || die "$1 isn't what Kubernetes $2 takes"
}

# The overlay as people copy it, with either autoscaler.
cp -R "$root/deploy/kubernetes" "$scratch/kubernetes"
if kubectl kustomize "$scratch/kubernetes/overlays/example" >/dev/null 2>&1; then die 'without a secret.env the passwords of the example are deployed'; fi
cp "$scratch/kubernetes/overlays/example/secret.env"{.example,}
cp -R "$scratch/kubernetes" "$scratch/keda"
sed 's|components/keda|components/hpa|; s|Or ../../components/hpa|Or ../../components/keda|' -i "$scratch/kubernetes/overlays/example/kustomization.yaml"
for version in 1.30.0 1.32.0 1.34.0; do
  validate "$scratch/keda/overlays/example" "$version"
  validate "$scratch/kubernetes/overlays/example" "$version"
done
grep -q '^kind: HorizontalPodAutoscaler' "$scratch/manifests.yaml" || die 'the second one has no autoscaler'

scales "$scratch/keda/overlays/example" || die "the ScaledObject isn't what KEDA takes"

# A schema that lets everything through would prove nothing.
sed 's/cooldownPeriod/coolDownPeriod/' -i "$scratch/keda/components/keda/workers.yaml"
if scales "$scratch/keda/overlays/example" >/dev/null; then die 'a field that KEDA does not know was taken'; fi
sed 's/terminationGracePeriodSeconds/terminationGraceSeconds/' -i "$scratch/kubernetes/base/api.yaml"
if (validate "$scratch/kubernetes/overlays/example" 1.32.0) >/dev/null 2>&1; then die 'a field that does not exist was taken'; fi
say 'the manifests of Kubernetes are valid'
