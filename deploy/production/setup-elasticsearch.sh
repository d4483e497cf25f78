#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What Elasticsearch needs before Jaeger: the policy that rolls indices over and deletes them by age, and a user that may
# touch Jaeger's indices and nothing else. Each step can be done again.
set -euo pipefail

secrets=${SECRETS:-/run/secrets}
age=${RETENTION:-168h}
size=${ROLLOVER_SIZE:-30gb}
url=${ELASTICSEARCH_URL:?}

# put PATH JSON, as the superuser. Its password is read by curl from a file, so that no list of processes shows it.
put() {
    local status
    status=$(curl --silent --show-error --max-time 30 --cacert "$secrets/ca" \
        --config <(printf 'user = "elastic:%s"\n' "$(cat "$secrets/elastic_password")") \
        --header 'Content-Type: application/json' --request PUT "$url$1" --data-binary @- \
        --output /tmp/answer --write-out '%{http_code}' <<<"$2")
    case $status in
    20?) echo "$1: $status" ;;
    *) echo "$1: $status $(cat /tmp/answer)" >&2 && return 1 ;;
    esac
}

# An index is closed after a day or at that size, whichever is first; its age counts from then.
put /_ilm/policy/quantum-traces "{\"policy\": {\"phases\": {
    \"hot\": {\"actions\": {\"rollover\": {\"max_age\": \"1d\", \"max_primary_shard_size\": \"$size\"}}},
    \"delete\": {\"min_age\": \"$age\", \"actions\": {\"delete\": {}}}}}}"

put /_security/role/jaeger '{
    "cluster": ["monitor", "manage_index_templates", "read_ilm"],
    "indices": [{"names": ["quantum-jaeger-*"], "privileges": ["all"]}]}'

put /_security/user/jaeger "{\"roles\": [\"jaeger\"], \"password\": \"$(cat "$secrets/jaeger_password")\"}"
