{% macro is_backfilled(source_file='source_file') -%}
    contains({{ source_file }}, '/backfilled=')
{%- endmacro %}


{#- The file's folder says how long after its event a row would have been available; NULL where it counts from when it
    landed. -#}
{% macro _backfilled_from(event_at) -%}
    {{ event_at }} + to_seconds(try_cast(regexp_extract(source_file, '/backfilled=event\+(\d+)s/', 1) as bigint))
{%- endmacro %}
