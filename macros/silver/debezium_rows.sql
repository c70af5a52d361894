{% macro debezium_rows(bronze, attributes) -%}
    {%- set row_shape -%}
        { {%- for attribute in attributes -%} "{{ attribute }}": "VARCHAR"{{ ', ' if not loop.last }} {%- endfor -%} }
    {%- endset -%}
    select
        {{ assay.as_landed() }},
        malformed_reason,
        envelope = 'null' as is_tombstone,
        left(ltrim(envelope), 1) = '{' as is_object,
        document is not null as is_json,
        document.op as op,
        document.op = 'd' as is_deleted,
        document.op = 'r' as is_snapshot,
        case when document.op = 'd' then document.before else document.after end as attributes,
        epoch_ms(try_cast(document."source".ts_ms as bigint)) as written_at,
        epoch_ms(try_cast(document.ts_ms as bigint)) as received_at,
        coalesce(try_cast(coalesce(document."source".lsn, document."source".pos) as bigint), 0) as log_position
    from (
        select
            *,
            try(json_transform(envelope, '{
                "op": "VARCHAR", "ts_ms": "VARCHAR",
                "source": {"ts_ms": "VARCHAR", "lsn": "VARCHAR", "pos": "VARCHAR"},
                "before": {{ row_shape }},
                "after": {{ row_shape }}
            }')) as document
        from (
            -- With schemas enabled, the converter puts the change under `payload`.
            select *, trim(coalesce(try(json_extract(line, '$.payload'))::varchar, line)) as envelope
            from ({{ assay.rows_to_check(bronze) }}) as landed
        ) as landed
    ) as landed
{%- endmacro %}
