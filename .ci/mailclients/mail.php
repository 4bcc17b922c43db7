<?php // What php.py has PHP's imap do. It prints one JSON object, or what somebody reads who asks for the errors.
[, $what, $port, $transport, $user, $dir, $shared, $options] = $argv;
error_reporting(0);
$server = "{localhost:$port/imap" . ['plain' => '/notls', 'TLS' => '/ssl', 'STARTTLS' => '/tls'][$transport] . '}';
$imap = imap_open($server . 'INBOX', $user, 'pass', 0, 1, json_decode($options, true));
if (!$imap) fail();

function fail() {
    echo implode("\n", imap_errors() ?: []);
    exit(1);
}

function read($imap) {
    $all = [];
    for ($n = 1; $n <= imap_num_msg($imap); $n++) $all[] = base64_encode(imap_fetchheader($imap, $n, FT_PREFETCHTEXT) . imap_body($imap, $n, FT_PEEK));
    return $all;
}

if ($what === 'fetch') {
    echo imap_body($imap, 1);
} else {
    $got['messages'] = read($imap);
    $got['found'] = imap_search($imap, 'SUBJECT odd');
    $got['list'] = array_map(fn($box) => ['path' => substr($box->name, strlen($server)), 'noselect' => (bool) ($box->attributes & LATT_NOSELECT)],
        imap_getmailboxes($imap, $server, '*'));
    imap_errors(); // c-client complains of AUTH=PLAIN without TLS
    $got['parent'] = imap_reopen($imap, $server . 'Lists', OP_READONLY) && !($errors = imap_errors()) ? 'opened' : $errors;
    imap_reopen($imap, $server . $shared, OP_READONLY);
    $got['shared'] = read($imap);
    imap_reopen($imap, $server . 'INBOX');
    $got['append'] = imap_append($imap, $server . 'Drafts', file_get_contents("$dir/append"), '\\Draft');
    $got['store'] = imap_setflag_full($imap, '2', '\\Seen \\Flagged');
    $got['copy'] = imap_mail_copy($imap, '2', 'Sent');
    $got['move'] = imap_mail_move($imap, '3', 'Trash') && imap_expunge($imap);
    $got['exists'] = imap_num_msg($imap);
    echo json_encode($got);
}
if ($what === 'fetch' && imap_last_error()) fail();
imap_close($imap);
