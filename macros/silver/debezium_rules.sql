{% macro debezium_rules(key, content={}) -%}
    {%- set structure = {
        'malformed_row': 'malformed_reason is not null',
        'schema_changed': 'schema_conflict is not null',
        'tombstone': 'is_tombstone',
        'malformed_json': 'not is_json',
        'not_an_object': 'not is_object',
        'logical_message': "op = 'm'",
    } -%}
    {%- set common = {
        'unknown_op': "op is null or op not in ('c', 'r', 'u', 'd', 't')",
        'missing_key': key ~ " is null and op is distinct from 't'",
        'undecodable_value': 'is_undecodable',
        'invalid_ts_ms': 'claimed_at is null or not coalesce(' ~ assay.within_event_range('received_at') ~ ', false)',
    } -%}
    {%- do common.update(content) -%}
    {{ assay.broken_rules(structure, common, contract='contract_rule_ids') }}
{%- endmacro %}
