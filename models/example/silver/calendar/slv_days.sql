{{ config(materialized='view') }}

select unnest(generate_series(date '1990-01-01', date '2049-12-31', interval '1 day'))::date as day_date
