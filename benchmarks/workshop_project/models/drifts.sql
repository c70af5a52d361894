{%- set features = [] -%}
{%- for number in range(20) -%}
    {%- do features.append('x' ~ number) -%}
{%- endfor -%}
{{ assay.numeric_drift('reference', 'current', features) }}
