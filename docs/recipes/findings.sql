-- The five commonest findings, and the captures that could not be read, out of the tables in out/.
select note.rule as rule, count(*) as count
from (select unnest(notes) as note from 'out/messages/*.parquet')
where note.severity <> 'chat'
group by rule order by count desc, rule limit 5;

select capture, exit from 'out/captures/*.parquet' where not ok order by capture;
