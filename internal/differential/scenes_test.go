package differential_test

// scenes are the seeds of the fuzzing; [conversation] says how to read them.
var scenes = []string{
	// before login
	`c CAPABILITY|x NOOP|y NAMESPACE
c SELECT INBOX
c LOGIN karen wrong
d AUTHENTICATE PLAIN|AGthcmVuAHdyb25n|x STARTTLS
d AUTHENTICATE PLAIN AGthcmVuAHBhc3M=
d LOGIN karen pass
e LOGIN {5}|karen {4+}|pass|x SELECT INBOX|y LOGOUT
ci0
c FROBNICATE|x NOOP`,
	// three wrong passwords, and a right one after them
	`c LOGIN karen a|x LOGIN "karen" b
c LOGIN karen c
0 NOOP
d LOGIN karen a|x LOGIN karen b|y LOGIN nobody c|z LOGIN karen pass|w NOOP
d LOGIN karen pass`,
	// two clients on one mailbox
	`0 SELECT INBOX
1 SELECT inbox
0 STORE 1 +FLAGS (\Deleted $Label)
1 NOOP
2 EXAMINE INBOX|x FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)
1 EXPUNGE|x SEARCH ALL
0 FETCH 1:* FLAGS|x NOOP|y FETCH 1 BODY[]
2 UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]|x CLOSE
1 UNSELECT|x FETCH 1 FLAGS`,
	// copies and moves
	`0 SELECT INBOX|x COPY 1:* Sent|y COPY 9 Sent
1 SELECT Sent|x FETCH 1:* (UID FLAGS INTERNALDATE)
0 UID COPY 2:3 Missing|x UID COPY 2:3 INBOX|y COPY 1 Work|z COPY 1 Work/2024/Q1
1 STORE 2 +FLAGS.SILENT (kw)|x MOVE 1:2 INBOX
0 UID MOVE 1,3 Sent|x MOVE 99 Sent
2 EXAMINE Sent|x MOVE 1 INBOX|y SEARCH RETURN (SAVE) SEEN|z UID COPY $ INBOX|w MOVE 1 #users`,
	// IDLE
	`0 SELECT INBOX
0i0
1 SELECT INBOX
1i6
2 SELECT INBOX|x STORE 1:2 +FLAGS (\Deleted)|y EXPUNGE
2 COPY 1 INBOX|x COPY 1 Sent
2 CAPABILITY
0 FETCH 1 FLAGS
1 ENABLE IMAP4rev2|x CAPABILITY
1i2
0 STORE 1 +FLAGS (x)
1i3
0 STORE 1 -FLAGS (x)
1i4
1i5
1i7
2i1`,
	// folders whose parents are missing
	`0 LIST "" *|x LIST "" %|y LIST "#users/" %|` +
		`z LIST "" (% "#users/%") RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)
0 SELECT "#users"|x FETCH 1:* FLAGS|y SEARCH ALL|z UID SEARCH ALL
0i0
1 STATUS #users/bob (MESSAGES UIDNEXT SIZE)|x CREATE #users/|y DELETE Work|z RENAME Work New
1 CREATE new/er/est|x SUBSCRIBE new/er/est|y LSUB "" %|z LIST (SUBSCRIBED RECURSIVEMATCH) "" %
1 CREATE a*b/c|x LIST "" a%|y RENAME new/er/est inbox/x|z LIST "" *
0 COPY 1 Sent|x MOVE 1 Sent|y CLOSE|z SUBSCRIBE Work
1 SELECT INBOX|x COPY 1 Work|y MOVE 1 #users
1 DELETE #users/bob/Inbox|x LIST "" *|y SELECT "#users"`,
	// mailboxes that go away while there are others below them, of which some have been seen
	`0 CREATE s/x|x CREATE s|y EXAMINE s|z CLOSE|w CREATE d/x|v CREATE d
0 CREATE t/x|x CREATE t|y STATUS t (MESSAGES)|z CREATE l/x|w CREATE l|v LIST "" l*
0 CREATE u/x|x CREATE u|y LIST "" u/*|z LIST u ""|w LSUB "" *
0 RENAME s s2|x RENAME t t2|y RENAME l l2|z DELETE d|w RENAME u u2
1 LIST "" %|x LIST "" (% u) RETURN (STATUS (MESSAGES))|y SUBSCRIBE s/x|z LSUB "" %
1 SELECT s|x STATUS t (MESSAGES)|y EXAMINE l|z SELECT d|w SELECT u|v FETCH 1 FLAGS
0 CREATE s|x LIST "" s|y SELECT s|z DELETE t|w CREATE t|v STATUS t (UIDVALIDITY)`,
	// mailboxes with unusual names
	`0 CREATE ""|x CREATE "/"|y CREATE "/a"|z CREATE "b//c/"
0 CREATE Entw&APw-rfe|x CREATE "&"|y CREATE &AAE-/x|z CREATE &AAoADQ-/x|w CREATE {7}|quo"t/e
0 LIST "" *|x ENABLE UTF8=ACCEPT|y LIST "" *|z LIST "/" %
0 RENAME INBOX "old inbox"|x STATUS inbox (MESSAGES)|y CREATE InBoX|z DELETE inbox
0 LIST "" "*%"|x LIST "" %*%*%*%|y LIST "" *a*b*c*d*|z LSUB "" *o*l*i*n*`,
	// a name with more levels than folders can have
	`0 CREATE 1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23|x LIST "" *
0 STATUS 1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20 (MESSAGES)|` +
		`x SELECT 1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21`,
	// INBOX is gone, and has children
	`0 RENAME inbox Inbox/sub|x CREATE inbox/other|y LIST "" INBOX|z LIST "" *
0 SELECT inbox|x STATUS INBOX (MESSAGES)|y CREATE INBOX|z APPEND INBOX {4+}|A: b
0 CREATE inbox|x SELECT INBOX`,
	// literals
	`0 CREATE {3}|abc|x CREATE {3+}|def|y CREATE {3-}|ghi|z CREATE ~{3}|jkl
0 APPEND INBOX {20+}|Subject: a||A: b||?
0 APPEND INBOX (\Seen) "17-Jul-1996 02:44:25 -0700" ~{10+}|A: b||text|x NOOP
0 APPEND INBOX {104857601}
0 APPEND INBOX {100}|A: b||
0 NOOP|x NOOP|y NOOP|z NOOP|w NOOP|v NOOP|u NOOP
0 APPEND Missing {6}|A: b|||x NOOP
0 CREATE {5+}| IDLE|x CREATE { 5}| IDLE
0 APPEND INBOX {20+}|A: b| IDLE|| IDLE|x NOOP`,
	// mistakes
	`0 NOOP x|* NOOP|+ NOOP|x NOOP
0 |x NOOP
0 FETCH 1 FLAGS|x SELECT|y SELECT INBOX INBOX|z STORE 1 FLAGS|w UID|v UID NOOP
0 SELECT INBOX|x FETCH 1 (FLAGS|y FETCH 0 FLAGS|z FETCH x FLAGS|w STORE 1 +X (a)|v SEARCH BOGUS
0 STATUS INBOX (DELETED-STORAGE)
0 SEARCH CHARSET KOI8-R ALL|x LIST (BOGUS) "" *|y AUTHENTICATE PLAIN|z UNAUTHENTICATE|w STARTTLS
0 LOGOUT|x NOOP`,
	// random scripts, and bytes that choose from the grammar
	"?", "?1", "?2",
	"0\x1b\x00\x00\x00\x01\x22\x01\x01\x00\x00\x00\x01\x24\x03\x02\n" +
		"1\x1b\x05\x00\x00\x00\x01\x20\x01\x01\x01\n2\x1c\n1i\x01\n2\x26\x05\x02\n0\x29\x01\x03",
}
