package differential_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// talk is one run of a conversation, in a bubble of its own.
type talk struct {
	dial      func() (net.Conn, error)
	hideIdle  bool // the server under test has no IDLE
	reference bool // this server has IDLE, and its answers are replaced
	clients   [3]*client
	logins    int
	record    []string
	wrong     []string // mistakes in what the server said
}

// hold runs the conversation, reads all mail afterwards, and returns what was said.
func (t *talk) hold(ops []op) []string {
	for i := range ops {
		t.step(&ops[i])
	}
	for i := range t.clients {
		t.endIdle(i)
		t.compare(i)
		t.hangUp(i)
	}
	for _, user := range []string{"karen", "bob"} {
		t.dump(user)
	}
	return t.record
}

func (t *talk) step(o *op) {
	t.endIdle(o.client)
	if t.clients[o.client] == nil {
		t.connect(o.client)
	}
	if !o.early || t.someoneIdles() {
		t.login(o.client)
	}
	if o.idles {
		t.ask(o.client)
	}
	if o.end != "" {
		t.clients[o.client].idle = o
	}
	t.say(o.client, o.text)
	t.learn(o.client)
}

// learn makes a client that has just selected a mailbox ask for the UIDs of its messages.
func (t *talk) learn(i int) {
	c := t.clients[i]
	if c != nil && c.idle == nil && c.view.selected && slices.Contains(c.view.uids, 0) {
		t.say(i, "learn FETCH 1:* UID\r\n")
	}
}

// compare checks that a client knows the messages that exist. It does nothing if an unfinished
// command of the client swallows what it sends.
func (t *talk) compare(i int) {
	c := t.clients[i]
	if c == nil || !c.view.selected || !t.answers(i) {
		return
	}
	t.say(i, "all FETCH 1:* UID\r\nall NOOP\r\n")
	from := len(t.record)
	t.say(i, "all UID SEARCH ALL\r\n")
	t.mistake(c.view.compare(t.record[from:]))
}

func (t *talk) mistake(wrong string) {
	if wrong != "" {
		t.wrong = append(t.wrong, wrong)
	}
}

// ask makes sure that no news is left when an IDLE begins, because go-imap reports it only when the
// IDLE ends. A client with an unfinished command reconnects.
func (t *talk) ask(i int) {
	if !t.answers(i) {
		t.hangUp(i)
		t.login(i)
	}
}

// answers reports whether the next line is read as a command.
func (t *talk) answers(i int) bool {
	from := len(t.record)
	t.say(i, "ask NOOP\r\n")
	return slices.Contains(t.record[from:], fmt.Sprintf("%d< ask OK NOOP completed\r\n", i))
}

func (t *talk) connect(i int) {
	conn, err := t.dial()
	if err != nil {
		panic(err)
	}
	t.clients[i] = &client{conn: conn}
	go t.clients[i].listen()
	synctest.Wait()
	t.hear(false)
	t.tell()
}

// login logs the client in, unless it is logged in. If an unfinished command swallows the LOGIN, it
// reconnects.
func (t *talk) login(i int) {
	for range 2 {
		if c := t.clients[i]; c != nil && c.loggedIn {
			return
		}
		if t.logins++; t.clients[i] == nil {
			t.connect(i)
		}
		t.say(i, fmt.Sprintf("l%d LOGIN karen pass\r\n", t.logins))
		if c := t.clients[i]; c != nil && !c.loggedIn {
			t.hangUp(i)
		}
	}
	if t.clients[i] == nil {
		panic("stack_test: karen cannot log in:\n" + strings.Join(t.record, "\n"))
	}
}

func (t *talk) hangUp(i int) {
	c := t.clients[i]
	if c == nil {
		return
	}
	t.record = append(t.record, fmt.Sprintf("%d hangs up", i))
	t.note(i, c, c.held)
	c.conn.Close()
	t.clients[i] = nil
	synctest.Wait()
}

func (t *talk) someoneIdles() bool {
	return slices.ContainsFunc(t.clients[:], func(c *client) bool { return c != nil && c.idle != nil })
}

// endIdle ends the client's IDLE, if there is one, and asks for all news.
func (t *talk) endIdle(i int) {
	c := t.clients[i]
	if c == nil || c.idle == nil {
		return
	}
	t.record = append(t.record, fmt.Sprintf("%d ends IDLE", i))
	if c.idling {
		io.WriteString(c.conn, c.idle.end)
	}
	t.listen()
	if t.clients[i] != nil {
		t.say(i, "flush NOOP\r\n")
	}
	c.idle, c.idling = nil, false
	t.tell()
}

func (t *talk) say(i int, text string) {
	t.record = append(t.record, fmt.Sprintf("%d> %q", i, text))
	io.WriteString(t.clients[i].conn, text)
	t.listen()
}

// listen waits until no server or client has anything more to say. If a client is in IDLE, it waits
// longer than the interval of polls. Clients that are not logged in hang up before such a wait,
// because the server would close their connections.
func (t *talk) listen() {
	synctest.Wait()
	t.hear(false)
	pause := time.Second
	if t.someoneIdles() {
		pause = 31 * time.Second
		for i, c := range t.clients {
			if c != nil && !c.loggedIn {
				t.hangUp(i)
			}
		}
	}
	time.Sleep(pause)
	synctest.Wait()
	t.hear(true)
	t.tell()
}

var loggedIn = regexp.MustCompile(
	`^\S+ OK \[CAPABILITY [^]]*\] (Logged in|PLAIN authentication successful)`,
)

// hear takes what has come. Outside of IDLE, something may come late only if the reference sends it
// late too.
func (t *talk) hear(late bool) {
	for _, c := range t.clients {
		if c == nil {
			continue
		}
		heard, closed := c.take()
		if late && c.idle == nil && len(heard) > 0 {
			c.held = append(c.held, "later")
		}
		for _, response := range heard {
			t.mistake(c.view.hear(response))
			c.loggedIn = c.loggedIn || loggedIn.MatchString(response)
			c.idling = c.idling || c.idle != nil && response == "+ idling\r\n"
			c.rev2 = c.rev2 ||
				strings.HasPrefix(response, "* ENABLED ") && strings.Contains(response, " IMAP4rev2")
		}
		c.held = append(c.held, heard...)
		if closed && !slices.Contains(c.held, "closed") {
			c.held = append(c.held, "closed")
		}
	}
}

// tell records what has come since the last call. It skips clients in IDLE if the server under test
// has no IDLE, because that server reports their news only after the IDLE has ended.
func (t *talk) tell() {
	for i, c := range t.clients {
		if c == nil {
			continue
		}
		closed := slices.Contains(c.held, "closed")
		if t.hideIdle && c.idle != nil && !closed {
			continue
		}
		t.note(i, c, c.held)
		c.held = nil
		if closed {
			t.clients[i] = nil
		}
	}
}

// dump records all mail of a user.
func (t *talk) dump(user string) {
	t.connect(0)
	from := len(t.record)
	t.say(0, fmt.Sprintf("a LOGIN %s pass\r\nb LSUB \"\" *\r\nc LIST \"\" *\r\n", user))
	var look strings.Builder
	for _, line := range t.record[from:] {
		if m := listed.FindStringSubmatch(line); m != nil {
			fmt.Fprintf(
				&look,
				"s STATUS %[1]s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE)\r\ne EXAMINE %[1]s\r\n"+
					"f FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n",
				m[1],
			)
		}
	}
	t.say(0, look.String())
	t.hangUp(0)
}

var listed = regexp.MustCompile(`^0< \* LIST \([^)]*\) "/" (.*)\r\n$`)
