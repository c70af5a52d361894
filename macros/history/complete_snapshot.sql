{% macro complete_snapshot(snapshot, changes, unique_key, changed_at, columns) -%}
    {%- set unique_key, changed_at = assay.quoted(unique_key), assay.quoted(changed_at) -%}
    {#- A snapshot sees the newest state alone. What changed between two runs is put in from the changes themselves,
        what a dump that came late disproves is taken out, and every range is made to end where the next begins. -#}
    delete from {{ snapshot }}
    where ({{ unique_key }}, dbt_valid_from) not in (select {{ unique_key }}, {{ changed_at }} from {{ changes }});

    insert into {{ snapshot }} by name
    select
        {{ unique_key }},
        {{ assay.quoted(columns) }},
        {{ changed_at }},
        {{ changed_at }} as dbt_valid_from,
        {{ changed_at }} as dbt_updated_at,
        {{ assay.end_of_time() }} as dbt_valid_to,
        {{ snapshot_hash_arguments([unique_key, changed_at]) }} as dbt_scd_id
    from {{ changes }}
    where ({{ unique_key }}, {{ changed_at }}) not in (select {{ unique_key }}, dbt_valid_from from {{ snapshot }});

    update {{ snapshot }} as versions
    set dbt_valid_to = ranges.dbt_valid_to
    from (
        select
            dbt_scd_id,
            lead(dbt_valid_from, 1, {{ assay.end_of_time() }}) over (
                partition by {{ unique_key }} order by dbt_valid_from
            ) as dbt_valid_to
        from {{ snapshot }}
    ) as ranges
    where versions.dbt_scd_id = ranges.dbt_scd_id and versions.dbt_valid_to is distinct from ranges.dbt_valid_to
{%- endmacro %}
