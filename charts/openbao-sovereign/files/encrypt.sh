# Encrypts the snapshot to its recipients' certificates. What leaves this pod's memory is encrypted already.
set -eu
umask 077
name="openbao-$(date -u +%Y%m%dT%H%M%SZ).snap.cms"
trap 'rm -f "$CLEAR/openbao.snap" "$KEPT/.openbao.partial"' EXIT
# AES-256-GCM, which is authenticated (RFC 5084): an altered backup does not open. Under a name that nobody takes
# for a backup until it is whole.
openssl cms -encrypt -binary -stream -outform DER -aes-256-gcm \
  -in "$CLEAR/openbao.snap" -out "$KEPT/.openbao.partial" "$RECIPIENTS"/*.pem
sync
mv "$KEPT/.openbao.partial" "$KEPT/$name"
echo "kept $name"
# Names sort by age. Only what this script has written is ever removed.
kept=$(ls "$KEPT" | grep -E '^openbao-[0-9]{8}T[0-9]{6}Z\.snap\.cms$' | sort)
surplus=$(($(echo "$kept" | wc -l) - KEEP))
if [ "$surplus" -gt 0 ]; then
  echo "$kept" | head -n "$surplus" | while read -r old; do
    rm -f "$KEPT/$old"
    echo "removed $old"
  done
fi
