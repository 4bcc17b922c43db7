package differential_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"strings"
)

// op is one step of a client.
type op struct {
	client int
	early  bool // before login, if the client has not logged in yet
	idles  bool
	text   string // what it sends in one piece
	end    string // what it sends to end the IDLE that text begins
}

// conversation makes steps of any script. Each line is one step. It begins with the client: 0 to 2,
// or c, d and e for the same clients before login. Then comes one of three: a space and a command,
// with | for a line break; i and the way to end an IDLE; or bytes that choose commands of the
// grammar. A script that begins with ? stands for a random one. A copier gets only messages that
// can be copied.
func conversation(script []byte, copier, hidesIdle bool) []op {
	const longest, mostIdles = 24, 8 // so that no IDLE lasts 35 min, when go-imap ends it
	if seed, ok := bytes.CutPrefix(script, []byte("?")); ok {
		script = randomScript(seed)
	}
	var ops []op
	idles := 0
	for line := range bytes.SplitSeq(script, []byte("\n")) {
		if len(line) < 2 || len(ops) == longest {
			continue
		}
		o := op{client: int(line[0]) % 3, early: line[0] >= 'a'}
		n := len(ops)
		w := &words{rest: line[2:], copier: copier}
		switch line[1] {
		case ' ':
			o.text = fmt.Sprintf(
				"v%d %s\r\n", n,
				strings.ReplaceAll(strings.ReplaceAll(string(line[2:]), "\r", ""), "|", "\r\n"),
			)
			if copier && uncopyable.MatchString(o.text) {
				continue
			}
		case 'i':
			if idles++; idles > mostIdles {
				continue
			}
			o.idle(n, w.pick(8), hidesIdle)
		default:
			w.rest = line[1:]
			for i := range 4 {
				o.text += w.command(fmt.Sprintf("g%d.%d", n, i))
				if w.pick(3) != 1 {
					break
				}
			}
		}
		// A server whose guard refuses a literal takes nothing of it for commands, as go-imap does.
		o.text = strings.ReplaceAll(o.text, "+}", "}")
		if !o.idles && hidden.MatchString(strings.ToUpper(o.text)) || greedy.MatchString(o.text) ||
			tooLong.MatchString(o.text) && !strings.Contains(o.text, " APPEND INBOX {") {
			continue
		}
		ops = append(ops, o)
	}
	return ops
}

// randomScript returns lines of bytes that choose commands. In most scripts the clients first log
// in and select a mailbox.
func randomScript(seed []byte) []byte {
	hash := fnv.New64a()
	hash.Write(seed)
	random := rand.New(rand.NewPCG(hash.Sum64(), 0))
	var script []byte
	if random.IntN(4) > 0 {
		script = []byte("0 SELECT INBOX\n1 SELECT INBOX\n2 SELECT Sent\n")
	}
	for range random.IntN(20) {
		script = append(script, "000111222cde"[random.IntN(12)])
		if random.IntN(6) == 0 {
			script = append(script, 'i')
		}
		for range 1 + random.IntN(24) {
			script = append(script, byte(random.IntN(256)))
		}
		script = append(script, '\n')
	}
	return script
}

var (
	// hidden matches what a server without IDLE answers differently; only [op.idle] may send it.
	hidden = regexp.MustCompile(`(?m)^\S+ +IDLE|^DONE\r?$`)
	// greedy matches patterns for which go-imap's matcher takes too long.
	greedy = regexp.MustCompile(`(?:[*%][^ \r\n]*){8}`)
	// tooLong matches a literal that go-imap takes for the rest of the command, unless it is a
	// message.
	tooLong = regexp.MustCompile(`\{0*(?:409[7-9]|4[1-9]\d\d|[5-9]\d{3}|[1-9]\d{4,})-?\} ?\r?\n`)
	// uncopyable matches what creates messages that copymeta refuses, or flags that it drops.
	uncopyable = regexp.MustCompile(`(?i)append|recent`)
)

func (o *op) idle(n, way int, hidesIdle bool) {
	o.idles = true
	o.text = fmt.Sprintf("idle%d IDLE\r\n", n)
	o.end = "DONE\r\n"
	noop := fmt.Sprintf("n%d NOOP\r\n", n)
	switch way {
	case 2:
		o.end = "junk\r\n"
	case 3:
		o.end = fmt.Sprintf("z%d LOGOUT\r\n", n)
	case 4:
		o.end = "\r\n"
	case 5:
		o.text, o.end = fmt.Sprintf("idle%d IDLE now\r\n", n)+noop, ""
	}
	// A client that does not wait for the refusal of its IDLE may get other answers.
	if hidesIdle {
		return
	}
	switch way {
	case 6:
		o.end += noop
	case 7:
		o.text, o.end = o.text+o.end+noop, ""
	}
}
