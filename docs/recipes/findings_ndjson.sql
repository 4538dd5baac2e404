-- The five commonest findings, and the captures that could not be read, out of messages.ndjson.
create view lines as select * from read_json('messages.ndjson', format = 'newline_delimited',
    columns = {n: 'BIGINT', notes: 'STRUCT(severity VARCHAR, rule VARCHAR, text VARCHAR)[]',
               capture: 'JSON'});

-- A message has the name of its capture as text; the line that ends a capture has an object there.
select note.rule as rule, count(*) as count
from (select unnest(notes) as note from lines where n is not null)
where note.severity <> 'chat'
group by rule order by count desc, rule limit 5;

select capture->>'capture' as capture, (capture->>'exit')::int as exit
from lines where n is null and capture is not null and (capture->>'ok') = 'false'
order by capture;
