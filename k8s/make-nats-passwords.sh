#!/bin/sh
# Makes passwords for NATS in a folder: cohd and pmapd (a credential each, for the service of that name), and nats.env (for
# nats-server alone). For compose.yaml:
#   k8s/make-nats-passwords.sh k8s/secrets
# usage: make-nats-passwords.sh DIR
set -eu
if [ $# -ne 1 ]; then
  echo 'usage: make-nats-passwords.sh DIR' >&2
  exit 2
fi
umask 077
mkdir -p "$1"
chmod 700 "$1"
rm -f "$1/nats.env"
: >"$1/nats.env"
for user in cohd pmapd; do
  # A letter first: nats-server would take some words of digits for numbers.
  password=p$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  printf '%s\n%s\n' "$user" "$password" >"$1/$user"
  # Containers read it as another user of this machine; the folder is closed.
  chmod 644 "$1/$user"
  variable=NATS_$(echo "$user" | tr a-z A-Z)_PASSWORD
  echo "$variable=$password" >>"$1/nats.env"
done
