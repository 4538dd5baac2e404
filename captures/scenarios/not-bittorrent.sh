# DNS, TLS, HTTP and random bytes: nothing here is BitTorrent
switch
host server 1
host client 3
download_content
mkdir "$work/web"
cp "$work/download.torrent" "$work/web"
# Words of the protocol, in a page about it.
printf 'A handshake begins with 0x13 and "%s"; an announce is GET /announce?info_hash=...\n' \
    'BitTorrent protocol' >"$work/web/page.txt"
python=/usr/bin/python3
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=site.test \
    -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
start server dns $python "$captures/tools/dns.py" answer 10.77.0.1 site.test 10.77.0.1
start server web $python -m http.server --bind 10.77.0.1 --directory "$work/web" 80
start server random $python "$captures/tools/not_bittorrent.py" answer 10.77.0.1 7000
start server tls env -C "$work" openssl s_server -accept 10.77.0.1:443 -WWW -cert "$work/certificate.pem" -key "$work/key.pem"
for port in 80 443 7000; do
    wait_for 10 "port $port" listening server "$port"
done

capture_pcapng client
on client $python "$captures/tools/dns.py" ask 10.77.0.1 site.test
for page in page.txt download.torrent nothing.html; do
    on client curl -s --resolve site.test:80:10.77.0.1 -o /dev/null "http://site.test/$page"
done
on client curl -sk --resolve site.test:443:10.77.0.1 -o /dev/null https://site.test/web/page.txt
on client $python "$captures/tools/not_bittorrent.py" ask 10.77.0.1 7000
capture_end

at_least 1 "DNS answers" "$(tshark -r "$work/capture" -Y dns.a 2>/dev/null | wc -l)"
at_least 1 "TLS records" "$(tshark -r "$work/capture" -Y tls.record 2>/dev/null | wc -l)"
contains "$(hex 'GET /download.torrent')" 'the download of a torrent'
accept pcapng
