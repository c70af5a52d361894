{% set limits = drift_limits() %}
with measures as (

    select * from {{ ref('mon_drift__measures') }}

),

chances as (

    select * from {{ ref('mon_drift__chances') }}

),

baselines as (

    select * from {{ ref('mon_drift__baselines') }}

),

compared as (

    select
        measures.*,
        chances.p_value,
        chances.null_p_value,
        baselines.windows_before,
        baselines.usual_psi,
        baselines.usual_ks,
        baselines.usual_null_shift,
        (measures.window_mean - measures.least_value)
        / nullif(measures.reference_mean - measures.least_value, 0) as excess_ratio,
        measures.window_arrivals / nullif(measures.reference_arrivals, 0) as volume_ratio
    from measures
    inner join baselines on measures.comparison = baselines.comparison
    left join chances on measures.comparison = chances.comparison

),

-- Which differences are no chance, large, and larger than usual.
sized as (

    select
        *,
        {% for verdict in ['drift', 'watch'] %}
            coalesce(
                p_value < {{ limits.false_discoveries }}
                and least(reference_present, window_present) >= {{ limits.fewest_rows }}
                and (
                    psi >= greatest({{ limits['psi_' ~ verdict] }}, usual_psi)
                    or ks >= greatest({{ limits['ks_' ~ verdict] }}, usual_ks)
                ),
                false
            ) as is_{{ verdict }},
            coalesce(
                null_p_value < {{ limits.false_discoveries }}
                and abs(null_shift) >= greatest({{ limits['null_' ~ verdict] }}, usual_null_shift),
                false
            ) as is_null_{{ verdict }},
        {% endfor %}
        -- A busier month moves counts and sums over days; one without bound grows by itself.
        coalesce(
            regexp_matches(feature, '_(count|sum)_all$')
            or regexp_matches(feature, '_(count|sum)_[0-9]+d$')
            and excess_ratio between least(sqrt(volume_ratio), pow(volume_ratio, 2))
            and greatest(sqrt(volume_ratio), pow(volume_ratio, 2)),
            false
        ) as is_volume
    from compared

),

final as (

    select
        feature_view as view, -- noqa: RF04
        feature,
        strftime({{ assay._first_of('month_number') }}, '%Y-%m') as "window",
        reference,
        {{ assay._first_of('month_number') }} as window_from,
        {{ assay._first_of('month_number + 1') }} as window_to,
        reference_from,
        reference_to,
        reference_rows,
        window_rows,
        window_arrivals,
        psi,
        ks,
        js,
        reference_mean,
        window_mean,
        if(isfinite(window_mean - reference_mean) and deviation > 0, (window_mean - reference_mean) / deviation, null)
            as mean_shift,
        null_shift,
        p_value,
        case
            when is_trained_on then 'trained on'
            when is_early then 'too early'
            when least(reference_rows, window_rows) < {{ limits.fewest_rows }} then 'too few rows'
            when windows_before < {{ limits.fewest_windows }} then 'too early'
            when category_count > {{ limits.most_categories }} then 'too many categories'
            when is_null_drift then 'drift'
            when is_drift and not is_volume then 'drift'
            when is_drift or (is_watch and is_volume) then 'volume'
            when is_watch or is_null_watch then 'watch'
            else 'stable'
        end as verdict
    from sized

)

select * from final
