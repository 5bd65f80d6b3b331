#!/usr/bin/env bash
# Builds the Kubernetes manifests with kustomize and holds them against Kubernetes' own schemas, strictly.
#
#   make test-kubernetes
#
# Needs kubectl (for kustomize) and Python; the schemas come with the package kubernetes-validate. KEDA's ScaledObject isn't
# among them: its metrics are held against those that Lectern has, by the test of the documents (tidy).
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

# validate FOLDER VERSION
validate() {
  kubectl kustomize "$1" >"$scratch/manifests.yaml"
  "$tools/bin/kubernetes-validate" --strict --quiet --no-warn --kubernetes-version "$2" "$scratch/manifests.yaml" || die "$1 isn't what Kubernetes $2 takes"
}

# The overlay as people copy it, with either autoscaler.
cp -R "$root/deploy/kubernetes" "$scratch/kubernetes"
sed 's|components/keda|components/hpa|; s|Or ../../components/hpa|Or ../../components/keda|' -i "$scratch/kubernetes/overlays/example/kustomization.yaml"
for version in 1.30.0 1.32.0 1.34.0; do
  validate "$root/deploy/kubernetes/overlays/example" "$version"
  validate "$scratch/kubernetes/overlays/example" "$version"
done
grep -q '^kind: HorizontalPodAutoscaler' "$scratch/manifests.yaml" || die 'the second one has no autoscaler'

# A schema that lets everything through would prove nothing.
sed 's/terminationGracePeriodSeconds/terminationGraceSeconds/' -i "$scratch/kubernetes/base/api.yaml"
if (validate "$scratch/kubernetes/overlays/example" 1.32.0) >/dev/null 2>&1; then die 'a field that does not exist was taken'; fi
say 'the manifests of Kubernetes are valid'
