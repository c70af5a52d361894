{% macro guard_as_of() -%}
    {%- if execute and graph.nodes.get('model.assay.brz_files') and flags.WHICH in ('build', 'run', 'snapshot', 'seed', 'test') -%}
        {%- set wanted = var('as_of', none) or 'now' -%}
        {%- do run_query("create schema if not exists landing") -%}
        {%- do run_query("create table if not exists landing.warehouse (as_of varchar not null)") -%}
        {%- set held = run_query("select as_of from landing.warehouse").columns[0].values() -%}
        {%- if not held -%}
            {%- do run_query("insert into landing.warehouse values ('" ~ wanted ~ "')") -%}
        {%- elif held[0] != wanted -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse is built as of " ~ held[0] ~ ", and cannot be built as of " ~ wanted
                ~ ": give each moment a warehouse file of its own (ASSAY_WAREHOUSE)."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
