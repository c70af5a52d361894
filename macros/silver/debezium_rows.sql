{% macro debezium_rows(bronze, attributes) -%}
    select
        {{ assay.as_landed() }},
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        envelope = 'null' as is_tombstone,
        left(ltrim(envelope), 1) = '{' as is_object,
        document is not null as is_json,
        document.op as op,
        document.op in ('d', 't') as is_deleted,
        document.op = 'r' as is_snapshot,
        struct_pack(
            {%- for attribute in attributes %}
            "{{ attribute }}" := decoded[{{ loop.index }}].decoded{{ ',' if not loop.last }}
            {%- endfor %}
        ) as attributes,
        len(list_filter(
            decoded,
            lambda _each: _each.value is not null and _each.decoded is null and not {{ assay._is_unavailable('_each.value') }}
        )) > 0 as is_undecodable,
        nullif(
            list_transform(
                list_filter(decoded, lambda _each: {{ assay._is_unavailable('_each.value') }}),
                lambda _each: _each.attribute
            ),
            []
        ) as unavailable_attributes,
        -- A snapshot may say 0 of when a row was committed.
        case
            when document.op = 'r' and coalesce(try_cast(document."source".ts_ms as bigint), 0) = 0 then connected_at
            else try(epoch_ms(try_cast(document."source".ts_ms as bigint)))
        end as written_at,
        connected_at as received_at,
        case when log_position is not null then concat_ws('/', document."source".name, {{ assay._log_of_server('document."source"') }}) end as log_name,
        coalesce(log_position, {{ assay._place_within_second('document."source"') }}) as log_position,
        -- The same for a change that is delivered twice, since that alters ts_ms alone.
        case
            when document.op is not null
                then md5(to_json([
                    document.op, document."source".ts_ms, log_position::varchar,
                    to_json(document.before)::varchar, to_json(document.after)::varchar, to_json(row_key)::varchar
                ])::varchar)
        end as change_hash
    from ({{ assay._decoded_changes(bronze, attributes) }}) as changes
{%- endmacro %}


{#- Change events with each attribute as text, decoded by its type. -#}
{% macro _decoded_changes(bronze, attributes) -%}
    select
        *,
        list_transform(
            list_transform(
                landed,
                lambda _each: struct_pack(
                    attribute := _each.attribute,
                    value := _each.value,
                    type := {{ assay._type_of('_each') }}
                )
            ),
            lambda _each: struct_pack(
                attribute := _each.attribute,
                value := _each.value,
                decoded := case
                    when not {{ assay._is_unavailable('_each.value') }}
                        then {{ assay.debezium_value('_each.value', '_each.type') }}
                end
            )
        ) as decoded
    from ({{ assay._landed_changes(bronze, attributes) }}) as changes
{%- endmacro %}


{#- Change events with what each attribute landed as. -#}
{% macro _landed_changes(bronze, attributes) -%}
    {%- set declared = assay._physical_types(bronze) -%}
    select
        *,
        -- What the log does not repeat may stand in the row before the change, and a key in the message's own.
        [
            {%- for attribute in attributes %}
            struct_pack(
                attribute := '{{ attribute }}',
                declared := {{ "'" ~ declared[attribute] | replace("'", "''") ~ "'" if attribute in declared else 'null::varchar' }},
                value := coalesce(
                    case
                        when document.op = 'd' then document.before."{{ attribute }}"
                        when {{ assay._is_unavailable('document.after."' ~ attribute ~ '"') }}
                            then coalesce(document.before."{{ attribute }}", document.after."{{ attribute }}")
                        else document.after."{{ attribute }}"
                    end,
                    row_key."{{ attribute }}"
                )
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ] as landed,
        -- TRY_CAST lets numbers through that are no times.
        try(epoch_ms(try_cast(document.ts_ms as bigint))) as connected_at,
        {{ assay._log_position('document."source"') }} as log_position
    from ({{ assay._parsed_messages(bronze, attributes) }}) as messages
{%- endmacro %}


{#- The lines of a bronze relation as change events, each with the key that its message has, or the tombstone behind it. -#}
{% macro _parsed_messages(bronze, attributes) -%}
    {%- set row_shape -%}
        { {%- for attribute in attributes -%} "{{ attribute }}": "VARCHAR"{{ ', ' if not loop.last }} {%- endfor -%} }
    {%- endset -%}
    {%- set sent_key = assay._sent_key(bronze) -%}
    select
        messages.*,
        case when json_valid(envelope) then json_transform(envelope, '{
            "op": "VARCHAR", "ts_ms": "VARCHAR",
            "source": {
                "name": "VARCHAR", "ts_ms": "VARCHAR", "lsn": "VARCHAR", "sequence": "VARCHAR", "scn": "VARCHAR",
                "rs_id": "VARCHAR", "ssn": "VARCHAR", "gtid": "VARCHAR", "server_id": "VARCHAR", "file": "VARCHAR",
                "pos": "VARCHAR", "row": "VARCHAR", "commit_lsn": "VARCHAR", "change_lsn": "VARCHAR",
                "event_serial_no": "VARCHAR", "ord": "VARCHAR"
            },
            "before": {{ row_shape }},
            "after": {{ row_shape }}
        }') end as document,
        case
            when json_valid(message.schema) then list_filter(
                json_transform(message.schema, '{"fields": [{"field": "VARCHAR", "fields": [{
                    "field": "VARCHAR", "name": "VARCHAR", "parameters": {"scale": "VARCHAR"}
                }]}]}').fields,
                lambda _field: _field.field in ('before', 'after') and _field.fields is not null
            )[1].fields
        end as schema_fields,
        case
            when json_valid({{ sent_key }}) then json_transform({{ sent_key }}, '{{ row_shape }}')
        end as row_key
    from (
        select
            *,
            trim(coalesce(message.payload, line)) as envelope
        from (
            select
                *,
                {{ assay._debezium_message('line') }} as message
            from ({{ assay.rows_to_check(bronze, documents=true) }}) as landed
        ) as landed
    ) as messages
    -- A deletion without a key is followed by the tombstone of the same row.
    left join (
        select
            file_id as tombstone_file_id,
            row_number - 1 as deletion_row_number,
            ({{ assay._debezium_message('line') }}).key as key
        from ({{ assay.rows_to_check(bronze) }}) as landed
        where regexp_matches(line, '"(value|payload)"\s*:\s*null')
    ) as tombstones
        on messages.file_id = tombstones.tombstone_file_id
        and messages.row_number = tombstones.deletion_row_number
        and messages.message.key is null
        and contains(messages.envelope, '"d"')
{%- endmacro %}


{#- The key that a change is of, where the event itself does not say it. The key of a stream's message counts where the
    event has no row: so the same event in a file is the same. -#}
{% macro _sent_key(bronze) -%}
    coalesce(
        message.key,
        tombstones.key
        {%- if assay._landing_of(bronze).streamed -%}
        ,
        case
            when not regexp_matches(envelope, '"(before|after)"[[:space:]]*:[[:space:]]*[{]')
                then {{ assay._payload_of('message_key') }}
        end
        {%- endif -%}
    )
{%- endmacro %}


{#- The parts of a message: a change, alone or under `payload`, beside its schema; or all of that under `value`, beside
    the message's key, which is made the same way. NULL where a line is no such thing. -#}
{% macro _debezium_message(line) -%}
    list_transform(
        [case when json_valid({{ line }}) then json_extract({{ line }}, ['/op', '/payload', '/schema', '/key', '/value'])::varchar[] end],
        lambda _parts: case
            when _parts[1] is not null or coalesce(_parts[2], _parts[5]) is null then null
            when _parts[4] is null then struct_pack(key := null::varchar, schema := _parts[3], payload := {{ assay._json_of('_parts[2]') }})
            else struct_pack(
                key := {{ assay._payload_of(assay._json_of('_parts[4]')) }},
                schema := coalesce(_parts[3], {{ assay._part_of(assay._json_of('coalesce(_parts[5], _parts[2])'), '/schema') }}),
                payload := {{ assay._payload_of(assay._json_of('coalesce(_parts[5], _parts[2])')) }}
            )
        end
    )[1]
{%- endmacro %}


{#- Some tools write JSON as a text within JSON. -#}
{% macro _json_of(json) -%}
    case when starts_with({{ json }}, '"') then json_extract_string({{ json }}, '$') else {{ json }} end
{%- endmacro %}


{% macro _part_of(json, pointer) -%}
    case when json_valid({{ json }}) then json_extract({{ json }}, '{{ pointer }}')::varchar end
{%- endmacro %}


{% macro _payload_of(json) -%}
    coalesce({{ assay._part_of(json, '/payload') }}, {{ json }})
{%- endmacro %}


{#- What an event says of a column's type goes before what the contract says. A converter may write decimals as numbers. -#}
{% macro _type_of(landed) -%}
    list_transform(
        [case
            when schema_fields is not null then list_transform(
                [list_filter(schema_fields, lambda _field: _field.field = {{ landed }}.attribute)[1]],
                lambda _field: _field.name || case
                    when _field.name = 'org.apache.kafka.connect.data.Decimal' then '(' || coalesce(_field.parameters.scale, '') || ')'
                    else ''
                end
            )[1]
            else {{ landed }}.declared
        end],
        lambda _type: case
            when not starts_with(_type, 'org.apache.kafka.connect.data.Decimal') then _type
            when coalesce(
                json_type(case when document is not null then envelope end, '/after/' || {{ landed }}.attribute),
                json_type(case when document is not null then envelope end, '/before/' || {{ landed }}.attribute)
            ) in ('BIGINT', 'UBIGINT', 'DOUBLE') then null
            else _type
        end
    )[1]
{%- endmacro %}


{#- Attribute to the type that the contract declares of its column, as Debezium or Kafka Connect names it. -#}
{% macro _physical_types(bronze) -%}
    {%- set found = {} -%}
    {%- for path, type in assay._landing_of(bronze).get('physical_types', {}).items() -%}
        {%- do found.update({path.removeprefix('after.'): type}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- What the source of a bronze relation declares of its landing table; nothing while dbt parses. -#}
{% macro _landing_of(bronze) -%}
    {%- for node in graph.get('nodes', {}).values() if execute
        and node.resource_type == 'model' and node.alias == bronze.identifier and node.schema == bronze.schema -%}
        {%- for unique_id in node.depends_on.nodes if unique_id in graph.get('sources', {}) -%}
            {{ return(graph.sources[unique_id].config.meta.get('landing', {})) }}
        {%- endfor -%}
    {%- endfor -%}
    {{ return({}) }}
{%- endmacro %}


{#- The text that stands for a value which the log does not repeat: itself, as bytes in Base64 or hex, in a list. -#}
{% macro _is_unavailable(value) -%}
    coalesce({{ value }} in (
        '__debezium_unavailable_value', '["__debezium_unavailable_value"]',
        'X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==', 'X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ',
        '5f5f646562657a69756d5f756e617661696c61626c655f76616c7565',
        '[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]'
    ), false)
{%- endmacro %}


{#- Where a change stands in its source's log, as numbers that grow from left to right: of Postgres the LSN; of Oracle the
    SCN, the redo record and the place in it; of MySQL the transaction's number or the file's, then position and row; of
    SQL Server and Db2 the LSN of commit and change. -#}
{% macro _log_position(source) -%}
    {%- set lsn -%}
        coalesce(nullif({{ source }}.lsn, '0'), json_extract_string(case when json_valid({{ source }}.sequence) then {{ source }}.sequence end, '$[#-1]'))
    {%- endset -%}
    case
        when {{ lsn }} is not null then {{ assay._position_of([assay._lsn(lsn)]) }}
        when {{ source }}.scn is not null
            then {{ assay._position_of([
                '[try_cast(' ~ source ~ '.scn as bigint)]',
                assay._hex_numbers('coalesce(' ~ source ~ ".rs_id, '')"),
                '[coalesce(try_cast(' ~ source ~ '.ssn as bigint), 0)]',
            ]) }}
        when {{ source }}.pos is not null
            then {{ assay._position_of([
                '[try_cast(coalesce(' ~ assay._found(source ~ '.gtid', '[:-](\\d+)$') ~ ', ' ~ assay._found(source ~ '.file', '(\\d+)\\D*$') ~ ') as bigint)]',
                '[try_cast(' ~ source ~ '.pos as bigint), coalesce(try_cast(' ~ source ~ '."row" as bigint), 0)]',
            ]) }}
        when coalesce({{ source }}.commit_lsn, {{ source }}.change_lsn) is not null
            then {{ assay._position_of([
                assay._lsn('coalesce(' ~ source ~ ".commit_lsn, '')"),
                assay._lsn('coalesce(' ~ source ~ ".change_lsn, '')"),
                '[coalesce(try_cast(' ~ source ~ '.event_serial_no as bigint), 0)]',
            ]) }}
    end
{%- endmacro %}


{% macro _found(text, pattern) -%}
    nullif(regexp_extract({{ text }}, '{{ pattern }}', 1), '')
{%- endmacro %}


{#- None where a part of it cannot be read. -#}
{% macro _position_of(parts) -%}
    list_transform(
        [flatten([{{ parts | join(', ') }}])],
        lambda _place: case when len(list_filter(_place, lambda _part: _part is null)) = 0 then _place end
    )[1]
{%- endmacro %}


{#- One number, as it is or in two halves of hex (`16/B374D848`); several, parted by colons. -#}
{% macro _lsn(text) -%}
    case
        when contains({{ text }}, ':') then {{ assay._hex_numbers(text) }}
        when contains({{ text }}, '/') then [
            try_cast('0x' || split_part({{ text }}, '/', 1) as bigint) * 4294967296 + try_cast('0x' || split_part({{ text }}, '/', 2) as bigint)
        ]
        when {{ text }} = '' then []
        else [try_cast({{ text }} as bigint)]
    end
{%- endmacro %}


{% macro _hex_numbers(text) -%}
    list_transform(regexp_extract_all({{ text }}, '[0-9a-fA-F]+'), lambda _hex: try_cast('0x' || _hex as bigint))
{%- endmacro %}


{#- Positions are of one server's log: after a failover they begin from the start. MariaDB counts on in its domain. -#}
{% macro _log_of_server(source) -%}
    case
        when {{ source }}.pos is not null then coalesce(
            {{ assay._found(source ~ '.gtid', '^(\\d+)-\\d+-\\d+$') }},
            {{ assay._found(source ~ '.gtid', '^(.+):\\d+$') }},
            nullif({{ source }}.server_id, '0')
        )
    end
{%- endmacro %}


{#- MongoDB's log has a time of whole seconds and a number within _field. -#}
{% macro _place_within_second(source) -%}
    case when try_cast({{ source }}.ord as bigint) is not null then [try_cast({{ source }}.ord as bigint)] end
{%- endmacro %}
