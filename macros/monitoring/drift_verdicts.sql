{% macro drift_verdicts(training_sets=[]) -%}
    {%- set limits = assay.drift_limits() -%}
{{ assay._drift_chances() }},

{{ assay._adjusted_chances(limits) }},

{{ assay._sized_differences(limits) }},

final as (

    select
        view,
        feature,
        strftime({{ assay._first_of('month_number') }}, '%Y-%m') as "window",
        case sized.reference_number
            when 0 then 'rolling'
            {%- for name in training_sets %}
            when {{ loop.index }} then '{{ name }}'
            {%- endfor %}
        end as reference,
        {{ assay._first_of('month_number') }} as window_from,
        {{ assay._first_of('month_number + 1') }} as window_to,
        coalesce(trained.starts_at, {{ assay._first_of('from_month') }}) as reference_from,
        coalesce(trained.ends_at, {{ assay._first_of('to_month + 1') }}) as reference_to,
        reference_rows,
        window_rows,
        window_arrivals,
        psi,
        ks,
        js,
        reference_mean,
        window_mean,
        if(isfinite(window_mean - reference_mean) and deviation > 0, (window_mean - reference_mean) / deviation, null) as mean_shift,
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
    left join trained on sized.reference_number = trained.reference_number

)
{%- endmacro %}


{#- What chance alone could do, for values and for NULLs. -#}
{% macro _drift_chances() -%}
-- States of one entity are alike: there are no more chances than entities.
independent as (

    select
        *,
        least(reference_present, reference_entities)::double as n,
        least(window_present, window_entities)::double as m,
        least(reference_rows, reference_entities)::double as n_with_nulls,
        least(window_rows, window_entities)::double as m_with_nulls
    from compared

),

scaled as (

    select
        *,
        {{ assay._stephens('ks', 'n', 'm') }} as ks_scaled,
        {{ assay._stephens('abs(null_shift)', 'n_with_nulls', 'm_with_nulls') }} as null_scaled,
        chi2 * n * m / (n + m) / (reference_present * window_present / nullif(reference_present + window_present, 0)) as chi2_scaled
    from independent

),

chances as (

    select
        comparison,
        month_number,
        false as is_of_nulls,
        case
            when least(reference_present, window_present) = 0 then null
            when is_category then {{ assay._chernoff('chi2_scaled', '(category_count - 1)') }}
            else {{ assay._kolmogorov('ks_scaled') }}
        end as p
    from scaled
    union all
    select
        comparison,
        month_number,
        true as is_of_nulls,
        {{ assay._kolmogorov('null_scaled') }} as p
    from scaled
    where null_scaled is not null

)
{%- endmacro %}


{#- Chances adjusted over all that is compared of a month. -#}
{% macro _adjusted_chances(limits) -%}
-- Benjamini and Hochberg, over all that is compared for a month.
adjusted as (

    select
        *,
        least(1, min(p * tests / place) over (partition by month_number order by place desc)) as p_value
    from (
        select
            *,
            count(*) over (partition by month_number) as tests,
            row_number() over (partition by month_number order by p, comparison, is_of_nulls) as place
        from chances
        where p is not null
    ) as placed

),

known as (

    select
        scaled.*,
        of_values.p_value,
        of_nulls.p_value as null_p_value,
        scaled.is_early or least(scaled.reference_rows, scaled.window_rows) < {{ limits.fewest_rows }} as is_incomplete
    from scaled
    left join adjusted as of_values on scaled.comparison = of_values.comparison and not of_values.is_of_nulls
    left join adjusted as of_nulls on scaled.comparison = of_nulls.comparison and of_nulls.is_of_nulls

)
{%- endmacro %}


{#- Which differences are large, and larger than usual. -#}
{% macro _sized_differences(limits) -%}
-- Only months before judge a month: what comes later changes no verdict.
remembered as (

    select
        *,
        count(*) filter (not is_incomplete) over before as windows_before,
        list(psi) filter (not is_incomplete) over before as psi_before,
        list(ks) filter (not is_incomplete) over before as ks_before,
        list(abs(null_shift)) filter (not is_incomplete) over before as null_shift_before,
        (window_mean - least) / nullif(reference_mean - least, 0) as excess_ratio,
        window_arrivals / nullif(arrivals, 0) as volume_ratio
    from known
    window before as (
        partition by feature_number, reference_number
        order by month_number
        rows between unbounded preceding and 1 preceding
    )

),

sized as (

    select
        *,
        {%- for verdict in ['drift', 'watch'] %}
        coalesce(
            p_value < {{ limits.false_discoveries }}
            and least(reference_present, window_present) >= {{ limits.fewest_rows }}
            and (
                psi >= greatest({{ limits['psi_' ~ verdict] }}, {{ assay._usual('psi_before') }})
                or ks >= greatest({{ limits['ks_' ~ verdict] }}, {{ assay._usual('ks_before') }})
            ),
            false
        ) as is_{{ verdict }},
        coalesce(
            null_p_value < {{ limits.false_discoveries }}
            and abs(null_shift) >= greatest({{ limits['null_' ~ verdict] }}, {{ assay._usual('null_shift_before') }}),
            false
        ) as is_null_{{ verdict }},
        {%- endfor %}
        -- A busier month moves counts and sums over days; one without bound grows by itself.
        coalesce(
            regexp_matches(feature, '_(count|sum)_all$')
            or regexp_matches(feature, '_(count|sum)_[0-9]+d$')
            and excess_ratio between least(sqrt(volume_ratio), pow(volume_ratio, 2))
            and greatest(sqrt(volume_ratio), pow(volume_ratio, 2)),
            false
        ) as is_volume
    from remembered

)
{%- endmacro %}


{% macro _stephens(statistic, n, m) -%}
    {%- set root = 'sqrt(' ~ n ~ ' * ' ~ m ~ ' / nullif(' ~ n ~ ' + ' ~ m ~ ', 0))' -%}
    {{ statistic }} * ({{ root }} + 0.12 + 0.11 / nullif({{ root }}, 0))
{%- endmacro %}


{#- P-values need no more of an engine than exp: Kolmogorov's distribution with Stephens' correction, for KS and, since a
    NULL is a value like another, for shares of NULLs; Chernoff's bound for chi-square. -#}
{% macro _kolmogorov(x) -%}
    case
        when {{ x }} < 0.3 then 1
        else least(1, 2 * (exp(-2 * {{ x }} * {{ x }}) - exp(-8 * {{ x }} * {{ x }}) + exp(-18 * {{ x }} * {{ x }}) - exp(-32 * {{ x }} * {{ x }})))
    end
{%- endmacro %}


{% macro _chernoff(chi2, degrees) -%}
    case
        when {{ chi2 }} <= {{ degrees }} then 1
        else exp({{ degrees }} / 2 * (ln({{ chi2 }} / {{ degrees }}) + 1) - {{ chi2 }} / 2)
    end
{%- endmacro %}


{#- What a figure was at most, as usual: half as much again as its median, or three usual deviations above it. -#}
{% macro _usual(before) -%}
    coalesce(greatest(
        1.5 * list_aggregate({{ before }}, 'median'),
        list_aggregate({{ before }}, 'median') + 3 * 1.4826 * list_aggregate({{ before }}, 'mad')
    ), 0)
{%- endmacro %}
