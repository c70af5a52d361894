{% macro as_utc(at) -%}
    {#- The expression is repeated below, and a query in it would run each time. -#}
    {%- if modules.re.match('(?i)\\s*\\(\\s*(select|with|from)\\b', at) -%}
    (select {{ assay._as_utc('_at') }} from (select {{ at }} as _at) as asked)
    {%- else -%}
    {{ assay._as_utc(assay._sql(at)) }}
    {%- endif -%}
{%- endmacro %}


{#- DuckDB settles `typeof` when it plans, so that one branch is left: for a TIMESTAMP the column itself, whose statistics
    stay of use. A cast of a TIMESTAMPTZ would take the session's zone; `timezone` does not, but costs ten times as much,
    and is left for infinity. Of text there is no epoch_us: a cast would drop its offset. -#}
{% macro _as_utc(at) -%}
case
        when typeof({{ at }}) = 'TIMESTAMP WITH TIME ZONE'
            then coalesce(make_timestamp(epoch_us({{ at }})), timezone('UTC', ({{ at }})::timestamptz))
        else ({{ at }})::timestamp
    end
{%- endmacro %}


{#- A value as text, the same whatever the time zone of the session. A cast of every type can be tried. -#}
{% macro _as_text(value, refused=true) -%}
case
        when typeof({{ value }}) = 'TIMESTAMP WITH TIME ZONE'
            then timezone('UTC', try_cast({{ value }} as timestamptz))::varchar || '+00'
        {%- if refused %}
        when contains(typeof({{ value }}), 'TIMESTAMP WITH TIME ZONE')
            then error({{ assay._text(value ~ ' holds times with a time zone, which each session writes otherwise: give as_utc of each') }})
        {%- endif %}
        else ({{ value }})::varchar
    end
{%- endmacro %}
