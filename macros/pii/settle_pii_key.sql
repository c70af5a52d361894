{% macro settle_pii_key(results) -%}
    {%- if execute and graph.nodes.get('model.assay.brz_files') and flags.FULL_REFRESH and flags.WHICH in ('build', 'run') -%}
        {%- set failed = [] -%}
        {%- for result in results if result.node.name.endswith('__checked') and result.status not in ('success', 'pass') -%}
            {%- do failed.append(result.node.name) -%}
        {%- endfor -%}
        {%- if not failed -%}
            update landing.pii_key
            set
                held = next,
                next = null,
                fingerprint = case when next <> 'none' then getvariable('pii_fingerprint')::varchar end
            where next is not null
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
