complete -c gannet -s i -l input-file -d 'Read URLs from FILE, one per line; - is standard input' -r -F
complete -c gannet -l input-format -d 'The format of the lists' -r -f -a "auto\t'detected by how the list begins'
urls\t'one URL per line, with options on indented lines'
jsonl\t'one JSON object per line'
sums\t'digests and names as sha256sum writes them; the names are resolved against --base'
metalink\t'RFC 5854'"
complete -c gannet -l shard -d 'Fetch only the Kth of N shares of the URLs' -r
complete -c gannet -l base -d 'Resolve relative references in a list against URL' -r
complete -c gannet -s d -s P -l dir -l output-dir -d 'Store files in DIR; it is created if missing' -r -f -a "(__fish_complete_directories)"
complete -c gannet -s o -l output -d 'Store a single URL as FILE; - is standard output' -r -F
complete -c gannet -l name -d 'Name files by TEMPLATE' -r
complete -c gannet -l exists -d 'What to do if the file exists' -r -f -a "verify\t'keep the file if it is known to be the same, else fetch it again and replace it, unless it has at most 1 MiB and turns out to be equal'
skip\t'keep the file, whatever its contents'
overwrite\t'fetch the file again and replace it'
rename\t'keep the file and give the new one another name'
error\t'count the file as failed'"
complete -c gannet -l fsync -d 'When to sync files to the disk' -r -f -a "none\t'when the system decides'
file\t'each file and its name, before the file counts as done'
batch\t'all files together at the end of the run, by syncing the file system of --dir'"
complete -c gannet -s j -l jobs -d 'Fetch up to N files at once' -r
complete -c gannet -s x -l per-host -d 'Open at most N connections to one origin' -r
complete -c gannet -s s -l split -d 'Fetch each file over N connections' -r
complete -c gannet -l min-split -d 'Divide no file into segments smaller than SIZE' -r
complete -c gannet -l limit-rate -d 'Limit the total speed to RATE' -r
complete -c gannet -l limit-rate-file -d 'Limit the speed of each file to RATE' -r
complete -c gannet -l rate -d 'Start at most N transfers per second, minute or hour' -r
complete -c gannet -l checksum -d 'Fail unless the file of a single URL has this digest' -r
complete -c gannet -l checksums -d 'Fail unless each file has its digest in FILE' -r
complete -c gannet -l lock -d 'Write a lock file: the URL and digest of each file' -r -F
complete -c gannet -s H -l header -d 'Send this header, \'Name: value\', with every request' -r
complete -c gannet -s U -s A -l user-agent -d 'Send this User-Agent' -r
complete -c gannet -l referer -d 'Send this Referer' -r
complete -c gannet -s u -l user -d 'Log in with Basic or Digest authentication' -r
complete -c gannet -l bearer-env -d 'Log in with the bearer token in the environment variable VAR' -r
complete -c gannet -l netrc -d 'Log in with the logins of ~/.netrc, or of FILE' -r -F
complete -c gannet -l range -d 'Fetch only bytes A to B of each URL' -r
complete -c gannet -l cookies -d 'Send the cookies of FILE, and those set during the run' -r -F
complete -c gannet -l max-redirs -l max-redirects -d 'Follow at most N redirects' -r
complete -c gannet -l max-filesize -d 'Fail a file that is larger than SIZE' -r
complete -c gannet -l cacert -d 'Trust only the certificates in FILE (PEM)' -r -F
complete -c gannet -l capath -d 'Trust only the certificates in the files of DIR (PEM), and those of --cacert' -r -f -a "(__fish_complete_directories)"
complete -c gannet -l cert -d 'Use the client certificate in FILE (PEM) if a server asks for one' -r -F
complete -c gannet -l key -d 'Read the client certificate\'s key from FILE (PEM)' -r -F
complete -c gannet -l key-pass-env -d 'Decrypt the key with the passphrase in VARIABLE' -r
complete -c gannet -l tls-min -d 'The oldest TLS version to use' -r -f -a "1.2\t'TLS 1.2'
1.3\t'TLS 1.3'"
complete -c gannet -l pinnedpubkey -d 'Accept servers with this public key only' -r
complete -c gannet -l interface -d 'Connect from this interface, or from this address' -r
complete -c gannet -l unix-socket -d 'Connect to the Unix socket PATH instead of the URL\'s host' -r -F
complete -c gannet -l resolve -d 'Use ADDR for HOST and PORT instead of a lookup' -r
complete -c gannet -l connect-to -d 'Connect to HOST2:PORT2 for URLs with HOST1:PORT1' -r
complete -c gannet -s p -l proxy -d 'Connect through the proxy at URL' -r -f
complete -c gannet -l noproxy -d 'Connect to the hosts in LIST without a proxy' -r
complete -c gannet -l connect-timeout -d 'Limit the time to connect to DUR' -r
complete -c gannet -s T -l stall-timeout -d 'Fail if no byte arrives for DUR' -r
complete -c gannet -l timeout -d 'Limit the time of a transfer to DUR' -r
complete -c gannet -l min-speed -d 'Fail if a transfer is slower than RATE for DUR' -r
complete -c gannet -s t -l retry -d 'Retry up to N times after the first try' -r
complete -c gannet -l retry-delay -d 'Wait DUR before the first retry' -r
complete -c gannet -l max-retry-after -d 'Obey Retry-After up to DUR' -r
complete -c gannet -l retry-max-time -d 'Start no retry later than DUR after the first try' -r
complete -c gannet -l retry-on -d 'Retry only the HTTP statuses CODES' -r
complete -c gannet -l progress -d 'How to show progress' -r -f -a "auto\t'bars on a terminal, else plain'
bars\t'one line for the run and one for each active transfer'
line\t'one line for the run, updated in place'
plain\t'a new line every 10 seconds'
none\t'nothing'"
complete -c gannet -l report -d 'Write all completions and the totals to FILE, as one JSON document' -r -F
complete -c gannet -l events -d 'Write events to FILE as they happen; - is standard output' -r -F
complete -c gannet -l color -d 'When to colour the output' -r -f -a "auto\t'on a terminal, unless NO_COLOR is set'
always\t'always'
never\t'never'"
complete -c gannet -l failed -d 'Write the rows that are not done to FILE, as a list' -r -F
complete -c gannet -l strict -d 'Stop at an invalid line in a list'
complete -c gannet -l path-as-is -d 'Send paths as they are written, with /./ and /../'
complete -c gannet -l no-config -d 'Ignore the configuration: gannet.toml and GANNET_ variables'
complete -c gannet -l content-disposition -d 'Use the file name that the server sends'
complete -c gannet -l trust-server-names -d 'Name files by the URL that redirects lead to'
complete -c gannet -s N -l timestamping -d 'Fetch an existing file only if the server has a newer one'
complete -c gannet -l remote-time -d 'Set the time of files to the server\'s Last-Modified'
complete -c gannet -s c -l continue -d 'Continue partial files that other tools left'
complete -c gannet -l no-resume -d 'Start over instead of resuming files of earlier runs'
complete -c gannet -l locked -d 'Fail what differs from the file of --lock'
complete -c gannet -l compressed -d 'Accept compressed responses and decompress them'
complete -c gannet -l no-cookies -d 'Send no cookies that redirects set'
complete -c gannet -l http1.1 -d 'Use HTTP/1.1 only'
complete -c gannet -l http2 -d 'Use HTTP/2 only'
complete -c gannet -s k -l insecure -d 'Do not verify certificates'
complete -c gannet -s 4 -d 'Use IPv4 addresses only'
complete -c gannet -s 6 -d 'Use IPv6 addresses only'
complete -c gannet -l retry-connrefused -d 'Retry servers that refuse connections as any other failure'
complete -c gannet -s q -l quiet -d 'Print no completion lines and no progress; -qq no errors'
complete -c gannet -s v -l verbose -d 'Print what each transfer does; -vv also prints headers'
complete -c gannet -l json -d 'Print each completion as a JSON object on one line'
complete -c gannet -l summary -d 'Print a summary line at the end'
complete -c gannet -l no-summary -d 'Print no summary line'
complete -c gannet -l fail-fast -d 'Stop at the first failure'
complete -c gannet -l dry-run -d 'Print what would be fetched, and to which file'
complete -c gannet -s h -l help -d 'Print help; --help prints more'
complete -c gannet -s V -l version -d 'Print the version'
