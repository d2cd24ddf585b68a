#!/bin/sh
# Makes an authority, whose key is thrown away, and a folder with tls.crt, tls.key and ca.crt for each role of a cluster:
# DIR/syslinkd, DIR/cohd, DIR/pmapd, DIR/vkerneld, DIR/nats, and DIR/admin for vkctl (ODONATA_TLS_DIR). The URI in a certificate says
# whose it is. For trials: nothing renews them. For compose.yaml:
#   k8s/make-certificates.sh k8s/secrets/tls
# usage: make-certificates.sh DIR [CLUSTER] [DAYS]
set -eu
if [ $# -lt 1 ] || [ $# -gt 3 ]; then
  echo 'usage: make-certificates.sh DIR [CLUSTER] [DAYS]' >&2
  exit 2
fi
dir=$1
cluster=${2:-odonata}
days=${3:-365}
umask 077
mkdir -p "$dir"
chmod 700 "$dir"
cd "$dir"
curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $curve -days "$days" -subj "/CN=odonata $cluster" -keyout ca.key -out ca.crt

# certificate ROLE NAME USAGES [OTHER-NAMES]
certificate() {
  mkdir -p "$1"
  openssl req $curve -subj "/CN=$1" -keyout "$1/tls.key" -out tls.csr
  printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=URI:odonata://%s/%s/%s%s\n' \
    "$3" "$cluster" "$1" "$2" "${4:-}" >tls.ext
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -extfile tls.ext -out "$1/tls.crt"
  cp ca.crt "$1/ca.crt"
}

for role in syslinkd cohd pmapd vkerneld; do
  certificate "$role" '*' serverAuth,clientAuth ",DNS:odonata,DNS:$role,DNS:localhost,IP:127.0.0.1"
  # Containers read them as another user of this machine, who gets just this folder; DIR is closed.
  chmod 755 "$role"
  chmod 644 "$role"/tls.key "$role"/tls.crt "$role"/ca.crt
done
# Of a NATS server that is reached from other machines: known by its name, and nobody of the cluster.
certificate nats '*' serverAuth ',DNS:nats.odonata'
certificate admin admin clientAuth
rm -f ca.key ca.srl tls.csr tls.ext
