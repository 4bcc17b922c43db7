package differential_test

// commands has every kind of command that go-imap knows. [words.expand] replaces %x by one of the
// words below.
var commands = []string{
	"NOOP", "CHECK", "CAPABILITY", "NAMESPACE", "STARTTLS", "UNAUTHENTICATE", "LOGOUT", "ENABLE %e",
	"LOGIN %u %w", "AUTHENTICATE %l",
	"CREATE %m", "CREATE %m (USE (\\Archive))", "CREATE %m (USE", "DELETE %m", "RENAME %m %m",
	"SUBSCRIBE %m", "UNSUBSCRIBE %m",
	"STATUS %m (%s)", "STATUS %m (%s %s)", "STATUS %m (DELETED-STORAGE)",
	"LIST %r %p", "LIST (%o) %r %p", "LIST %r (%p %p)", "LIST (%o) %r (%p %p) RETURN (%v)",
	"LIST %r %p RETURN (%v %v)", "LSUB %r %p",
	"SELECT %m", "SELECT INBOX", "EXAMINE %m", "CLOSE", "UNSELECT",
	"APPEND %m %f %d%b", "APPEND INBOX %d%b",
	"FETCH %n %i", "UID FETCH %n %i", "STORE %n %a %f", "UID STORE %n %a %f", "EXPUNGE",
	"UID EXPUNGE %n",
	"COPY %n %m", "UID COPY %n %m", "MOVE %n %m", "UID MOVE %n %m",
	"SEARCH %k", "UID SEARCH %k %k", "SEARCH RETURN (%t) %k", "UID SEARCH RETURN (%t %t) %k",
	"UID", "UID NOOP", "FROBNICATE", "NOOP x", "NOOP ",
}

var phrases = map[byte][]string{
	'e': {"IMAP4rev2", "UTF8=ACCEPT", "CONDSTORE", "IMAP4rev2 UTF8=ACCEPT", "()"},
	'u': {
		"karen", "bob", "KAREN", "nobody", `"kar\"en"`, "{5}\r\nkaren", "{5+}\r\nkaren", "{3-}\r\nbob",
	},
	'w': {"pass", "wrong", "{4}\r\npass", `"pass"`, "{5000+}\r\npass", ""},
	'l': {
		"PLAIN AGthcmVuAHBhc3M=", "PLAIN\r\nAGthcmVuAHBhc3M=", "PLAIN\r\n*", "PLAIN AGthcmVuAHdyb25n",
		"PLAIN\r\nAGJvYgBwYXNz",
		"PLAIN Ym9iAGthcmVuAHBhc3M=", "PLAIN !", "PLAIN =", "PLAIN AA==", "LOGIN", "XOAUTH2 AA==", "",
	},
	's': {
		"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "RECENT", "APPENDLIMIT",
		"HIGHESTMODSEQ", "",
	},
	'r': {`""`, `""`, "Work", "Work/", "#users/", "INBOX", "/", "%m", "Wo", "{4}\r\nWork"},
	'p': {
		"*", "%", "W*", "%/%", "#users/%", "/Work*", `""`, "Work", "*%", "%*%*%*%", "*a*b*c*d*",
		"*o*k*2*", "%%%", "i*", "INBOX", "%m",
		"{1}\r\n%", "{1+}\r\n*", "#users/bob", "Work/%", "W&", "Q1",
	},
	'o': {
		"SUBSCRIBED", "SPECIAL-USE", "SUBSCRIBED RECURSIVEMATCH", "RECURSIVEMATCH", "REMOTE", "", "BOGUS",
		"SPECIAL-USE SUBSCRIBED RECURSIVEMATCH",
	},
	'v': {
		"SUBSCRIBED", "CHILDREN", "STATUS (MESSAGES UIDNEXT)", "SPECIAL-USE", "STATUS (%s %s)", "BOGUS",
		"",
	},
	'f': {
		`(\Seen)`, `(\Deleted)`, `(\Deleted \Flagged kw)`, "()", `\Answered`, `($Forwarded a-b)`,
		`(\Seen \SEEN)`, `(kw "q")`, "x(", `(\Bogus)`, `(\Recent)`, `(\*)`,
	},
	'd': {"", "", `"17-Jul-1996 02:44:25 -0700" `, `" 1-Jan-2030 00:00:00 +0000" `, `"yesterday" `},
	'n': {
		"1", "1:*", "*", "2:3", "1,3", "3:1", "*:1", "$", "0", "4294967295", "1:4294967295", "99", "",
		"x", "1:2:3", "2,", "2",
	},
	'i': {
		"FLAGS", "(FLAGS UID)", "ALL", "FAST", "FULL", "BODY[]", "BODY.PEEK[]", "BODY[HEADER]",
		"BODY.PEEK[HEADER.FIELDS (Subject From)]",
		"BODY.PEEK[HEADER.FIELDS.NOT (Subject)]", "BODY[TEXT]<0.5>", "BODY.PEEK[1]", "BODY.PEEK[1.MIME]",
		"BODYSTRUCTURE", "BODY", "ENVELOPE",
		"INTERNALDATE", "RFC822", "RFC822.HEADER", "RFC822.TEXT", "RFC822.SIZE", "BINARY.PEEK[1]",
		"BINARY.SIZE[1]", "(BODY[] FLAGS)", "MODSEQ",
		"(FLAGS", "()", "BODY.PEEK[99]", "BODY.PEEK[]<4.1000>", "(INTERNALDATE RFC822.SIZE FLAGS)",
	},
	'a': {
		"+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT", "-FLAGS.SILENT", "FLAGS.SILENT", "+X", "flags",
	},
	'k': {
		"ALL", "SEEN", "UNSEEN", "DELETED", "NEW", "OLD", "RECENT", "%n", "UID %n", "KEYWORD kw",
		"UNKEYWORD $Label", "FROM karen", "SUBJECT {1}\r\na",
		"TEXT {5+}\r\nHello", `BODY "text"`, "HEADER X-None \"\"", "SINCE 1-Jan-2000",
		"BEFORE 1-Jan-2000", "ON 17-Jul-1996", "SENTON 7-Feb-1994",
		"LARGER 200", "SMALLER 200", "NOT %k", "OR %k %k", "(%k %k)", "CHARSET UTF-8 TEXT caf\xc3\xa9",
		"CHARSET KOI8-R ALL", "BOGUS", "",
	},
	't': {"MIN", "MAX", "ALL", "COUNT", "SAVE", "", "BOGUS"},
}

var names = []string{
	"INBOX", "inbox", "InBoX", "Sent", "Work", "Work/2024", "Work/2024/Q1", "#users", "#users/bob",
	"#users/bob/Inbox", "#users/", "new", "new/er/est",
	"/", "/Work", "Work//x", "INBOX/sub", "inbox/sub", "Entw&APw-rfe", "Entw\xc3\xbcrfe", "", "&",
	"&-", "&AGE-", "a*b/c", "a%b", `quo"te/x`,
	`back\slash/x`, "ctrl\x01", "new\nline/x", "&AAE-/x", "&AAoADQ-/x", "\xff", "&2D3eAA-/smile",
	"deep/1/2/3/4/5/6/7/8/9",
	" IDLE now",
}

// messages can be copied by FETCH and APPEND without a change.
var messages = []string{
	"From: Karen <karen@example.org>\r\nTo: bob@example.org\r\nSubject: a\r\n" +
		"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nHello\r\n",
	"Subject: text\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ncaf\xc3\xa9 text\r\n",
	"Subject: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n" +
		"Content-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n",
	"Subject: lines that look like others\r\n\r\n* CAPABILITY IMAP4rev1 IDLE\r\n" +
		"a OK [CAPABILITY IMAP4rev1 IDLE] FLAGS (b a)\r\nIDLE\r\n",
	"Subject: folded\r\n IDLE\r\n\r\n IDLE\r\n",
}

// oddMessages have a size that differs from what FETCH delivers.
var oddMessages = []string{
	"no header",
	"",
	"Subject: x\n\nonly LF\n",
	"\r\n\r\n",
	"\x00\xff\r\r\n",
	"A: b",
}
