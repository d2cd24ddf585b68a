#!/bin/sh
# Makes an authority, whose key is thrown away, and a folder with tls.crt, tls.key and ca.crt for each role of a cluster:
# DIR/syslinkd, DIR/cohd, DIR/pmapd, DIR/vkerneld, and DIR/admin for vkctl (ODONATA_TLS_DIR). The URI in a certificate says
# whose it is. For trials: cert-manager renews, this does not.
# usage: make-certificates.sh DIR [CLUSTER] [DAYS]
set -eu
dir=$1
cluster=${2:-odonata}
days=${3:-365}
mkdir -p "$dir"
cd "$dir"
umask 077
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
done
certificate admin admin clientAuth
rm -f ca.key ca.srl tls.csr tls.ext
