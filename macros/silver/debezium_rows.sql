{% macro debezium_rows(bronze, attributes) -%}
    {%- set row_shape -%}
        { {%- for attribute in attributes -%} "{{ attribute }}": "VARCHAR"{{ ', ' if not loop.last }} {%- endfor -%} }
    {%- endset -%}
    select
        {{ assay.as_landed() }},
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        envelope = 'null' as is_tombstone,
        left(ltrim(envelope), 1) = '{' as is_object,
        document is not null as is_json,
        document.op as op,
        document.op = 'd' as is_deleted,
        document.op = 'r' as is_snapshot,
        case when document.op = 'd' then document.before else document.after end as attributes,
        -- TRY_CAST lets numbers through that are no times.
        try(epoch_ms(try_cast(document."source".ts_ms as bigint))) as written_at,
        try(epoch_ms(try_cast(document.ts_ms as bigint))) as received_at,
        {{ assay._log_position('document."source"') }} as log_position,
        -- The same for a change that is delivered twice, since that alters ts_ms alone.
        case
            when document.op is not null
                then md5(to_json([
                    document.op, document."source".ts_ms, ({{ assay._log_position('document."source"') }})::varchar,
                    to_json(document.before)::varchar, to_json(document.after)::varchar
                ])::varchar)
        end as change_hash
    from (
        select
            *,
            case when json_valid(envelope) then json_transform(envelope, '{
                "op": "VARCHAR", "ts_ms": "VARCHAR",
                "source": {"ts_ms": "VARCHAR", "lsn": "VARCHAR", "scn": "VARCHAR", "file": "VARCHAR", "pos": "VARCHAR"},
                "before": {{ row_shape }},
                "after": {{ row_shape }}
            }') end as document
        from (
            -- With schemas enabled, the converter puts the change under `payload`.
            select *, trim(coalesce(case when json_valid(line) then json_extract(line, '$.payload') end::varchar, line)) as envelope
            from ({{ assay.rows_to_check(bronze, documents=true) }}) as landed
        ) as landed
    ) as landed
{%- endmacro %}

{% macro _log_position(source) -%}
    {#- Postgres counts in lsn, Oracle in scn, MySQL in a position that starts anew with each numbered file. -#}
    coalesce(
        try_cast({{ source }}.lsn as bigint),
        try_cast({{ source }}.scn as bigint),
        try(
            coalesce(try_cast(regexp_extract({{ source }}.file, '\d+$') as bigint), 0) * 4294967296
            + try_cast({{ source }}.pos as bigint)
        ),
        0
    )
{%- endmacro %}
