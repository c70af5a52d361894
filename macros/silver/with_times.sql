{% macro with_times(relation, source_name, table_name, written_at='written_at', received_at=none) -%}
    select
        *,
        {{ assay.event_before_available('claimed_at', 'available_at') }} as event_at
    from (
        select
            *,
            case
                when {{ assay.is_backfilled() }}
                    then {{ assay._within_what_can_be(assay._backfilled_from('claimed_at'), 'claimed_at', 'landed_at') }}
                else {{ assay.available_at(
                    source_name, table_name, event_at='claimed_at', written_at='claimed_available_at' if received_at
                ) }}
            end as available_at
        from (
            select
                *,
                case when {{ assay.within_event_range(written_at) }} then {{ written_at }} end as claimed_at,
                {% if received_at -%}
                case when {{ assay.within_event_range(received_at) }} then {{ received_at }} end
                {%- else -%}
                null::timestamp
                {%- endif %} as claimed_available_at
            from {{ relation }}
        ) as claimed
    ) as known
{%- endmacro %}
