{% macro names_read(kind) -%}
    {%- if execute -%}
        {%- set stamp = model.config.meta.assay -%}
        {%- if not stamp or kind not in (stamp.reads or {}) -%}
            {%- do assay._refuse(
                model.name ~ ' reads ' ~ kind ~ ', of which dbt knows nothing: declare config: {meta: {reads: [' ~ kind
                ~ ']}} in its YAML, and install the Python package assay where dbt is installed'
            ) -%}
        {%- endif -%}
        {{ return(stamp.reads[kind]) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}
