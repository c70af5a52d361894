{% macro balanced_weight(label, where='true') -%}
    {%- set label = assay._sql(label) -%}
    {%- set counted = 'case when ' ~ where ~ ' then ' ~ label ~ ' end' -%}
count({{ counted }}) over ()
/ nullif(
    count(distinct {{ counted }}) over () * count({{ counted }}) over (partition by {{ label }}), 0
)
{%- endmacro %}
