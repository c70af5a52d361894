{% macro utc_timestamp(text, formats=none) -%}
    {#- A cast to TIMESTAMP drops an offset such as +02:00 without applying it. That there is none is known where the text
        is still a time with `Z` behind it. Most texts are told by one cast; the others are looked at more closely. -#}
    {%- set declared = assay._as_landed_by('time_formats', text.strip('"')) if formats is none else none -%}
    {%- set formats = [declared] if declared else formats or [] -%}
    {%- set text = '(' ~ text ~ ')' -%}
    coalesce(
        {#- One by one: with a zone in one of several formats, the session's zone would hold for the others. -#}
        {%- for format in formats %}
        {{ assay._utc_by_format(text, format) }},
        {%- endfor %}
        case
            when not regexp_matches({{ text }}, '^\d{4}') then null
            when ends_with({{ text }}, 'Z') then try_cast({{ text }} as timestamp)
            when {{ text }}[-6] in ('+', '-') and regexp_full_match({{ text }}, '\d{4}\D[^+]{14,}[+-](0\d|1[0-7]):[0-5]\d')
                then make_timestamp(epoch_us(try_cast({{ text }} as timestamptz)))
            else try_cast({{ text }} || 'Z' as timestamp)
        end,
        {{ assay._utc_of_other_times(text) }}
    )
{%- endmacro %}


{#- A time in one format of strptime, or a count since 1970. -#}
{% macro _utc_by_format(text, format) -%}
    {%- if format in ['epoch_seconds', 'epoch_milliseconds'] -%}
        {%- set digits, factor = (11, 1000000) if format == 'epoch_seconds' else (14, 1000) -%}
        case when regexp_full_match({{ text }}, '\s*-?[0-9]{1,{{ digits }}}\s*') then make_timestamp(try_cast({{ text }} as bigint) * {{ factor }}) end
    {%- else -%}
        {%- set has_offset = format.rstrip().endswith('%z') -%}
        {%- set told = "regexp_replace(" ~ text ~ ", 'Z\\s*$', '+00')" if has_offset else text -%}
        {%- set parsed = "make_timestamp(epoch_us(try_strptime(" ~ told ~ ", " ~ assay._text(format) ~ ")))" -%}
        {#- DuckDB takes words such as infinity in any format, offsets of any size, a year of two digits for one of four,
            and one digit for two where nothing parts them. -#}
        case
            when regexp_matches({{ text }}, '[0-9]')
                {%- if has_offset %}
                and not regexp_matches({{ text }}, '[+-](19|[2-9]\d|18:?(0[1-9]|[1-5]\d)|\d\d:?[6-9]\d)(:?\d\d)?\s*$')
                {%- endif %}
                {%- if modules.re.search('%[YymdHIMS]%[YymdHIMSgf]', format) %}
                and length(trim({{ text }})) = {{ format.replace('%Y', 'yyyy').replace('%g', 'SSS').replace('%f', 'SSSSSS') | length }}
                {%- endif %}
                and {{ parsed }} >= timestamp '1000-01-01'
                then {{ parsed }}
        end
    {%- endif -%}
{%- endmacro %}


{#- Times without seconds or without time of day, with an offset, in small letters, with blanks about. -#}
{% macro _utc_of_other_times(text) -%}
    list_transform(
        [upper(regexp_replace({{ text }}, '^\s+|\s+$', '', 'g'))],
        lambda _told: case
            when try_cast(_told as timestamp) in (timestamp 'infinity', timestamp '-infinity')
                then try_cast(_told as timestamp)
            -- A year of two digits may be any.
            when regexp_matches(_told, '^\d{4}') then coalesce(
                try_cast(_told || 'Z' as timestamp),
                try_cast(_told || ':00Z' as timestamp),
                try_cast(_told || ' 00:00:00Z' as timestamp),
                {{ assay._utc_of_offset("regexp_replace(regexp_replace(_told, '\\s*(?:UTC|Z)$', '+00'), '\\s+([+-][\\d:]+)$', '\\1')") }}
            )
        end
    )[1]
{%- endmacro %}


{#- The cast takes offsets of any size, and minutes up to 99; a year of more than four digits can make it an error. -#}
{% macro _utc_of_offset(text) -%}
    list_transform(
        [regexp_replace({{ text }}, '([T ]\d\d?:\d\d)([+-][\d:]+)$', '\1:00\2')],
        lambda _zoned: list_transform(
            [case
                when regexp_matches(_zoned, '^\d{4}\D.*[+-]\d\d(:?[0-5]\d){0,2}$')
                    then make_timestamp(epoch_us(try_cast(_zoned as timestamptz)))
            end],
            lambda _instant: case
                when abs(epoch_us(try_cast(_zoned as timestamp)) - epoch_us(_instant)) <= 64800000000 then _instant
            end
        )[1]
    )[1]
{%- endmacro %}
