{% macro flag_duplicates(relation, bronze, content_hash, key, rule_id=none) -%}
    {%- set verdicts = relation.identifier ~ '__verdicts' -%}
    {#- A table of its own tells DuckDB how few the verdicts are. It expects more of them than rows, and would hold the
        whole relation in memory to join them. -#}
    create or replace temp table {{ verdicts }} as (
        {{ assay._verdicts_on_copies(relation, bronze, content_hash, key, rule_id) }}
    );
    update {{ relation }} as checked
    set rule_ids = verdicts.rule_ids
    from {{ verdicts }} as verdicts
    where checked.file_id = verdicts.file_id and checked.row_number = verdicts.row_number;
    drop table {{ verdicts }}
{%- endmacro %}


{#- The rows whose rules are to be others, now that it is known which of a key arrived first. -#}
{% macro _verdicts_on_copies(relation, bronze, content_hash, key, rule_id) -%}
    {%- set key_columns = assay.quoted(key) -%}
    {%- set arrival = 'available_at, landed_at, source_file, file_version, row_number' -%}
    {{ assay._rows_of_shared_keys(relation, bronze, content_hash, key, rule_id) }}

    copies as (

        select
            *,
            row_number() over (partition by {{ key_columns }}, landed_hash order by {{ arrival }}) as copy_number
        from candidates

    ),

    arrivals as (

        select
            *,
            row_number() over (
                partition by {{ key_columns }}, copy_number = 1 and rule_ids is null order by {{ arrival }}
            ) as arrival_number
        from copies

    ),

    flagged as (

        select
            file_id,
            row_number,
            known_rule_ids,
            case
                when copy_number > 1 then list_append(coalesce(rule_ids, []), 'exact_duplicate')
                {%- if rule_id %}
                when rule_ids is null and arrival_number > 1 then ['{{ rule_id }}']
                {%- endif %}
                else rule_ids
            end as rule_ids
        from arrivals

    )

    select file_id, row_number, rule_ids
    from flagged
    where rule_ids is distinct from known_rule_ids
{%- endmacro %}


{#- Rows that share a key, without the verdicts of earlier runs. -#}
{% macro _rows_of_shared_keys(relation, bronze, content_hash, key, rule_id) -%}
    {%- set key_columns = assay.quoted(key) -%}
    {%- set qualified_key = assay.quoted(key, 'checked') -%}
    with shared_keys as (

        -- Two keys of one hash do no harm: they are told apart below.
        select hash({{ key_columns }}) as key_hash
        from {{ relation }}
        where true{% for column in key %} and {{ assay.quoted(column) }} is not null{% endfor %}
        group by key_hash
        having count(*) > 1

    ),

    candidates as (

        select
            checked.*
            replace (
                nullif(
                    list_filter(
                        checked.rule_ids, lambda rule: rule not in ('exact_duplicate', '{{ rule_id }}')
                    ),
                    []
                ) as rule_ids
            ),
            checked.rule_ids as known_rule_ids,
            {{ content_hash }} as landed_hash
        from {{ relation }} as checked
        semi join shared_keys on hash({{ qualified_key }}) = shared_keys.key_hash
        inner join {{ bronze }} as landed
            on checked.file_id = landed.file_id and checked.row_number = landed.row_number

    ),
{%- endmacro %}
