#!/bin/sh
# Makes tls.crt, tls.key and ca.crt in a folder: an authority of its own, whose key is thrown away, and one certificate
# with the DNS name that every part of a cluster is checked against. For trials; cert-manager renews, this does not.
# usage: make-certificates.sh DIR [DAYS]
set -eu
dir=$1
days=${2:-365}
mkdir -p "$dir"
cd "$dir"
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" \
  -subj "/CN=odonata authority" -keyout ca.key -out ca.crt
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=odonata" -keyout tls.key -out tls.csr
echo "subjectAltName=DNS:odonata" >tls.ext
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -extfile tls.ext -out tls.crt
rm -f ca.key ca.srl tls.csr tls.ext
