{% macro debezium_value(value, type) -%}
    {%- set count = 'try_cast(' ~ value ~ ' as bigint)' -%}
    {%- set names = {
        'days': ['io.debezium.time.Date', 'org.apache.kafka.connect.data.Date'],
        'time_ms': ['io.debezium.time.Time', 'org.apache.kafka.connect.data.Time'],
        'ms': ['io.debezium.time.Timestamp', 'org.apache.kafka.connect.data.Timestamp'],
    } -%}
    case
        when {{ type }} is null then {{ value }}
        when {{ type }} like 'org.apache.kafka.connect.data.Decimal%'
            then {{ assay._decimal(value, "regexp_extract(" ~ type ~ ", '\\((-?\\d+)\\)$', 1)") }}
        when {{ type }} = 'io.debezium.data.VariableScaleDecimal'
            then case
                when json_valid({{ value }})
                    then {{ assay._decimal("json_extract_string(" ~ value ~ ", '/value')", "json_extract_string(" ~ value ~ ", '/scale')") }}
            end
        when {{ type }} not in (
            '{{ names['days'] | join("', '") }}', '{{ names['time_ms'] | join("', '") }}', '{{ names['ms'] | join("', '") }}',
            'io.debezium.time.MicroTime', 'io.debezium.time.NanoTime',
            'io.debezium.time.MicroTimestamp', 'io.debezium.time.NanoTimestamp'
        ) then {{ value }}
        when not regexp_full_match({{ value }}, '-?\d{1,19}') then null
        when {{ type }} in ('{{ names['days'] | join("', '") }}')
            then try(date '1970-01-01' + try_cast({{ value }} as integer))::varchar
        when {{ type }} in ('{{ names['time_ms'] | join("', '") }}') then {{ assay._time_of_day('try(' ~ count ~ ' * 1000)') }}
        when {{ type }} = 'io.debezium.time.MicroTime' then {{ assay._time_of_day(count) }}
        when {{ type }} = 'io.debezium.time.NanoTime' then {{ assay._time_of_day(count ~ ' // 1000') }}
        when {{ type }} in ('{{ names['ms'] | join("', '") }}') then try(make_timestamp({{ count }} * 1000))::varchar
        when {{ type }} = 'io.debezium.time.MicroTimestamp' then try(make_timestamp({{ count }}))::varchar
        -- Towards the past, also before 1970.
        else try(make_timestamp({{ count }} // 1000 - ({{ count }} % 1000 < 0)::bigint))::varchar
    end
{%- endmacro %}


{% macro _time_of_day(microseconds) -%}
    case when {{ microseconds }} between 0 and 86399999999 then (time '00:00:00' + to_microseconds({{ microseconds }}))::varchar end
{%- endmacro %}


{#- A number of up to 16 bytes, the first of them signed, with the point so many digits from its end. The largest below
    zero would be an error. -#}
{% macro _decimal(base64, scale) -%}
    list_transform(
        [struct_pack(bytes := try(hex(from_base64({{ base64 }}))), scale := try_cast({{ scale }} as integer))],
        lambda _raw: case
            when length(_raw.bytes) < 2 or length(_raw.bytes) > 32 or regexp_full_match(_raw.bytes, '80.{30}') then null
            when _raw.scale between -100 and 20000 then list_transform(
                list_transform(
                    [lpad(_raw.bytes, 32, if(_raw.bytes[1] >= '8', 'F', '0'))],
                    lambda _hex: ((
                        ('0x' || left(_hex, 16))::ubigint::hugeint - case when _hex[1] >= '8' then 18446744073709551616 else 0 end
                    ) * 18446744073709551616 + ('0x' || right(_hex, 16))::ubigint)::varchar
                ),
                lambda _whole: case when starts_with(_whole, '-') then '-' else '' end || list_transform(
                    [lpad(ltrim(_whole, '-'), greatest(length(ltrim(_whole, '-')), _raw.scale + 1)::integer, '0')],
                    lambda _digits: case
                        when _raw.scale > 0 then left(_digits, -_raw.scale) || '.' || right(_digits, _raw.scale)
                        else _digits || repeat('0', -_raw.scale)
                    end
                )[1]
            )[1]
        end
    )[1]
{%- endmacro %}
