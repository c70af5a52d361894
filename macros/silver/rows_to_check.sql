{% macro rows_to_check(bronze, documents=false) -%}
    select
        {%- if documents %}
        * exclude (document_rule_ids),
        list_concat({{ assay.contract_rules(bronze) }}, document_rule_ids) as contract_rule_ids
        {%- else %}
        *,
        {{ assay.contract_rules(bronze) }} as contract_rule_ids
        {%- endif %}
    from
        {%- if documents %} (
            select
                * replace ({{ assay.exact_numbers('coalesce(line_as_declared, line)') }} as line),
                coalesce(line_as_declared, line) as line_as_sent,
                {{ assay.document_rules('line') }} as document_rule_ids
            from {{ bronze }}
            {{- assay._in_files_to_check(bronze) }}
        ) as landed
        {%- else %} {{ bronze }}
    {{- assay._in_files_to_check(bronze) }}
        {%- endif %}
{%- endmacro %}


{#- Beside the bronze table itself: DuckDB would look at all landed lines where it stands further out. And where no
    file is new, this reads no line: the landed rows are looked up by the files to check, not the other way about. -#}
{% macro _in_files_to_check(bronze) -%}
    {%- if is_incremental() or assay._is_added_to() %}
    where file_id in (select file_id from {{ bronze }} except select file_id from {{ this }})
    {%- endif %}
{%- endmacro %}
