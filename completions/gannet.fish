complete -c gannet -s i -l input-file -d 'Read URLs from FILE, one a line; - is standard input' -r -F
complete -c gannet -l input-format -d 'How lists are written' -r -f -a "auto\t'by how it begins'
urls\t'a URL a line, with options below it'
jsonl\t'a JSON object a line'
sums\t'digests and names, as sha256sum writes them, resolved against --base'
metalink\t'RFC 5854'"
complete -c gannet -l shard -d 'Take only the Kth of N shares of all URLs' -r
complete -c gannet -l base -d 'Resolve relative references in a list against URL' -r
complete -c gannet -s d -s P -l dir -l output-dir -d 'Put files into DIR, which is made if missing' -r -f -a "(__fish_complete_directories)"
complete -c gannet -s o -l output -d 'Name the file of a single URL; - is standard output' -r -F
complete -c gannet -l name -d 'Name files after their URLs by TEMPLATE' -r
complete -c gannet -l exists -d 'What to do when the file is already there' -r -f -a "verify\t'keep it if it is known to be the same, else fetch it anew and replace it'
skip\t'keep it, whatever it holds'
overwrite\t'fetch it anew and replace it'
rename\t'keep it and give the new one another name'
error\t'count it as a failure'"
complete -c gannet -l fsync -d 'When files must have reached the disk' -r -f -a "none\t'when the system sees fit'
file\t'each file, and its name, before it counts as done'
batch\t'all together, before the run ends: the file system of --dir'"
complete -c gannet -s j -l jobs -d 'Fetch N files at once' -r
complete -c gannet -s x -l per-host -d 'Open at most N connections to one origin' -r
complete -c gannet -s s -l split -d 'Fetch each file over N connections' -r
complete -c gannet -l min-split -d 'Divide no file into parts smaller than SIZE' -r
complete -c gannet -l limit-rate -d 'Receive at most RATE bytes a second in all' -r
complete -c gannet -l limit-rate-file -d 'Receive at most RATE bytes a second for each file' -r
complete -c gannet -l rate -d 'Start at most N transfers a second, minute or hour' -r
complete -c gannet -l checksum -d 'Fail unless the file of a single URL has this digest' -r
complete -c gannet -l checksums -d 'Fail unless each file has the digest that FILE has of its name' -r
complete -c gannet -l lock -d 'Write to FILE what was fetched from where' -r -F
complete -c gannet -s H -l header -d 'Send this header, \'Name: value\', with every request' -r
complete -c gannet -s U -s A -l user-agent -d 'Send this User-Agent' -r
complete -c gannet -l referer -d 'Send this Referer' -r
complete -c gannet -s u -l user -d 'Log in with HTTP Basic authentication' -r
complete -c gannet -l bearer-env -d 'Log in with the bearer token that the environment variable VAR holds' -r
complete -c gannet -l netrc -d 'Log in with what ~/.netrc, or FILE, has for each host' -r -F
complete -c gannet -l range -d 'Fetch only bytes A to B of a single URL' -r
complete -c gannet -l cookies -d 'Send the cookies of FILE, and those that answers set during the run' -r -F
complete -c gannet -l max-redirs -l max-redirects -d 'Follow at most N redirects' -r
complete -c gannet -l max-filesize -d 'Refuse a file larger than SIZE' -r
complete -c gannet -l cacert -d 'Trust the certificates in FILE (PEM), and no others' -r -F
complete -c gannet -l capath -d 'Trust the certificates in the files of DIR (PEM), and no others but those of --cacert' -r -f -a "(__fish_complete_directories)"
complete -c gannet -l cert -d 'Show the client certificate in FILE (PEM) to servers that ask for one' -r -F
complete -c gannet -l key -d 'Take the client certificate\'s key from FILE (PEM)' -r -F
complete -c gannet -l tls-min -d 'Speak no TLS older than VERSION' -r -f -a "1.2\t'TLS 1.2'
1.3\t'TLS 1.3'"
complete -c gannet -l pinnedpubkey -d 'Accept servers with this public key only' -r
complete -c gannet -l resolve -d 'Use this address for HOST and PORT instead of looking it up' -r
complete -c gannet -l connect-to -d 'Connect to HOST2 and PORT2 where a URL says HOST1 and PORT1' -r
complete -c gannet -s p -l proxy -d 'Connect by the proxy at URL' -r -f
complete -c gannet -l noproxy -d 'Connect to the hosts in LIST without a proxy' -r
complete -c gannet -l connect-timeout -d 'Give up connecting after DUR' -r
complete -c gannet -s T -l stall-timeout -d 'Give up when no byte comes for DUR' -r
complete -c gannet -l timeout -d 'Give up a transfer that takes longer than DUR' -r
complete -c gannet -l min-speed -d 'Give up a transfer that is slower than RATE for DUR' -r
complete -c gannet -s t -l retry -d 'Try up to N times more after the first' -r
complete -c gannet -l retry-delay -d 'Wait DUR before the first retry' -r
complete -c gannet -l max-retry-after -d 'Obey a Retry-After of up to DUR' -r
complete -c gannet -l retry-max-time -d 'Begin no retry later than DUR after the first try began' -r
complete -c gannet -l retry-on -d 'Retry the HTTP statuses CODES, and no others' -r
complete -c gannet -l progress -d 'How to show progress' -r -f -a "auto\t'bars on a terminal, plain lines elsewhere'
bars\t'a line for the whole run and one for each active transfer'
line\t'one line for the whole run, kept up to date'
plain\t'a new line every 10 seconds'
none\t'nothing'"
complete -c gannet -l report -d 'Write every completion and the totals to FILE, as one JSON document' -r -F
complete -c gannet -l events -d 'Write to FILE what happens as it happens; - is standard output' -r -F
complete -c gannet -l color -d 'Whether to colour what is printed' -r -f -a "auto\t'on a terminal, unless NO_COLOR is set'
always\t'always'
never\t'never'"
complete -c gannet -l failed -d 'Write the rows that are not done to FILE, as a list to read again' -r -F
complete -c gannet -l strict -d 'Let a bad line in a list end the run'
complete -c gannet -l no-config -d 'Read no configuration: neither gannet.toml nor GANNET_ variables'
complete -c gannet -l content-disposition -d 'Let the server name the file'
complete -c gannet -s N -l timestamping -d 'Fetch a file that is there only if the server has a newer one'
complete -c gannet -l remote-time -d 'Give files the server\'s Last-Modified as their time'
complete -c gannet -s c -l continue -d 'Continue partial files that another tool has left'
complete -c gannet -l no-resume -d 'Start over instead of resuming what an earlier run has left'
complete -c gannet -l locked -d 'Refuse whatever differs from the file of --lock'
complete -c gannet -l compressed -d 'Let servers compress what they send, and decompress it'
complete -c gannet -l http1.1 -d 'Speak HTTP/1.1 only'
complete -c gannet -l http2 -d 'Speak HTTP/2 only'
complete -c gannet -s k -l insecure -d 'Do not verify certificates'
complete -c gannet -s 4 -d 'Use IPv4 addresses only'
complete -c gannet -s 6 -d 'Use IPv6 addresses only'
complete -c gannet -s q -l quiet -d 'Print no completion lines and no progress; -qq no errors either'
complete -c gannet -s v -l verbose -d 'Say what each transfer does; -vv shows headers too'
complete -c gannet -l json -d 'Print each completion as a JSON object on a line of its own'
complete -c gannet -l summary -d 'End with a line that sums the run up'
complete -c gannet -l no-summary -d 'Do not end with a line that sums the run up'
complete -c gannet -l fail-fast -d 'Let the first failure end the run'
complete -c gannet -l dry-run -d 'Print what would be fetched, and where to'
complete -c gannet -s h -l help -d 'Print help; --help says more'
complete -c gannet -s V -l version -d 'Print the version'
