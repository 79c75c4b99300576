[%- if m2g_way == 'commit' -%]
# Every package by its hash, then m2g by its commit. The packages that build m2g are among the first.
python -m pip install --disable-pip-version-check --quiet --no-deps --only-binary :all: --require-hashes --requirement ci/requirements.txt[[ more ]]
python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation "$M2G"
[%- elif m2g_way == 'image' -%]
# m2g, Git and kustomize are in the image.
m2g --version
[%- else -%]
# m2g by its hash, then every package that it needs by the hashes that its wheel contains.
printf '%s\n' "$M2G" | python -m pip install --disable-pip-version-check --quiet --no-deps --only-binary :all: --require-hashes --requirement /dev/stdin
python -m pip install --disable-pip-version-check --quiet --no-deps --only-binary :all: --require-hashes --requirement "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/m2g/_data/template/ci/requirements.txt"[[ more ]]
[%- endif %]
[%- if ci != 'github' and m2g_way != 'image' %]
if ! command -v kustomize; then
  to="$(mktemp -d)"
  curl --fail --silent --show-error --location --output "$to/kustomize.tar.gz" https://github.com/kubernetes-sigs/kustomize/releases/download/kustomize%2Fv5.8.1/kustomize_v5.8.1_linux_amd64.tar.gz
  echo "029a7f0f4e1932c52a0476cf02a0fd855c0bb85694b82c338fc648dcb53a819d  $to/kustomize.tar.gz" | sha256sum --check
  tar --extract --gzip --file "$to/kustomize.tar.gz" --directory /usr/local/bin kustomize
fi
[%- endif -%]
