{% macro as_utc(at) -%}
    {#- A query would be asked as often as it is written. -#}
    {%- if modules.re.match('(?i)\\s*\\(\\s*(select|with|from)\\b', at) -%}
    (select {{ assay._as_utc('_at') }} from (select {{ at }} as _at) as asked)
    {%- else -%}
    {{ assay._as_utc(assay._sql(at)) }}
    {%- endif -%}
{%- endmacro %}


{#- DuckDB settles `typeof` when it plans, so that one branch is left: for a TIMESTAMP the column itself, whose statistics
    stay of use. The first pattern is of TIMESTAMP WITH TIME ZONE and TIMESTAMPTZ_NS: a cast to TIMESTAMP would take the
    session's zone, and `timezone`, which does not, costs ten times as much and is left for infinity. -#}
{% macro _as_utc(at) -%}
case
        when typeof({{ at }}) like 'TIMESTAMP%Z%'
            then coalesce(make_timestamp(epoch_us(({{ at }})::timestamptz)), timezone('UTC', ({{ at }})::timestamptz))
        when typeof({{ at }}) = 'VARCHAR'
            then error({{ assay._text('the time ' ~ at ~ ' is text: cast it to TIMESTAMP or TIMESTAMPTZ') }})::timestamp
        else ({{ at }})::timestamp
    end
{%- endmacro %}
