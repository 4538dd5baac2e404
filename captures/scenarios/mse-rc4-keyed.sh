# an MSE exchange that selects RC4, and its secret: everything can be read
switch
host tracker 1
host seeder 2
host downloader 3
content mse-keyed 150000 "$work/content/mse-keyed.bin"
torrent mse-keyed 15 "$work/content/mse-keyed.bin"
tracker tracker "$info_hash"
cc -shared -fPIC -o "$work/mse_secrets.so" "$captures/tools/mse_secrets.c"
export MSE_SECRETS=$work/secrets
# Both ends compute the same secret, so that of one end is enough.
LD_PRELOAD=$work/mse_secrets.so transmission_seed seeder "$work/content" "$work/mse-keyed.torrent" '"encryption": 2'
sleep 3

capture_pcapng downloader
# Policy 0 is encrypted connections alone, and level 2 RC4 alone.
libtorrent downloader downloader "$work/mse-keyed.torrent" "$work/downloads" --listen 10.77.0.3:6885 \
    --set out_enc_policy=0 --set in_enc_policy=0 --set allowed_enc_level=2 --set prefer_rc4=1 --leave 3
wait_for 120 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/mse-keyed.bin" "$work/content/mse-keyed.bin"
no_loss
if tshark -r "$work/capture" -Y 'frame contains "BitTorrent protocol"' 2>/dev/null | grep -q .; then
    fail "a handshake can be read without the key"
fi
/usr/bin/python3 "$captures/tools/mse.py" keys "$work/capture" "$work/secrets" "$info_hash" >"$work/keys"
at_least 1 "keys" "$(wc -l <"$work/keys")"
/usr/bin/python3 "$captures/tools/mse.py" embed "$work/capture" "$work/keys" "$work/embedded"
mv "$work/embedded" "$work/capture"
cp "$work/keys" "$into/$scenario.keys"
accept pcapng "$work/mse-keyed.torrent"
