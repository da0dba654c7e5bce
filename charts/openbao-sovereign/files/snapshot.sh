# Takes a snapshot of raft into memory. The token is a role's that may do nothing else, and it is revoked at the end.
set -eu
umask 077
BAO_TOKEN=$(bao write -field=token "$AUTH_PATH/login" role="$AUTH_ROLE" jwt=@"$AUTH_JWT")
export BAO_TOKEN
trap 'bao token revoke -self >/dev/null || true' EXIT
bao operator raft snapshot save "$CLEAR/openbao.snap"
