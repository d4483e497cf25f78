#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prepares Elasticsearch for Jaeger: the policy that rolls indices over and deletes them by age, and a user
# with access only to Jaeger's indices. Each step can be repeated.
set -euo pipefail

secrets=${SECRETS:-/run/secrets}
age=${RETENTION:-168h}
size=${ROLLOVER_SIZE:-30gb}
url=${ELASTICSEARCH_URL:?}

# put PATH JSON sends a request as the superuser. curl reads the password from a file, so that no list of
# processes shows it.
put() {
    local answer status
    answer=$(curl --silent --show-error --max-time 30 --cacert "$secrets/ca" \
        --config <(printf 'user = "elastic:%s"\n' "$(cat "$secrets/elastic_password")") \
        --header 'Content-Type: application/json' --request PUT "$url$1" --data-binary @- \
        --write-out '\n%{http_code}' <<<"$2")
    status=${answer##*$'\n'}
    case $status in
    20?) echo "$1: $status" ;;
    *) echo "$1: $status ${answer%$'\n'*}" >&2 && return 1 ;;
    esac
}

# An index is closed after a day or at that size, whichever comes first; its age counts from then.
put /_ilm/policy/quantum-traces "{\"policy\": {\"phases\": {
    \"hot\": {\"actions\": {\"rollover\": {\"max_age\": \"1d\", \"max_primary_shard_size\": \"$size\"}}},
    \"delete\": {\"min_age\": \"$age\", \"actions\": {\"delete\": {}}}}}}"

put /_security/role/jaeger '{
    "cluster": ["monitor", "manage_index_templates", "read_ilm"],
    "indices": [{"names": ["quantum-jaeger-*"], "privileges": ["all"]}]}'

put /_security/user/jaeger "{\"roles\": [\"jaeger\"], \"password\": \"$(cat "$secrets/jaeger_password")\"}"
