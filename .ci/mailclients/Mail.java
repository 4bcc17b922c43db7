// What javamail.py has JavaMail do. It prints lines of a word, a tab and what it found.
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import javax.mail.*;
import javax.mail.event.*;
import javax.mail.internet.MimeMessage;
import javax.mail.search.SubjectTerm;
import com.sun.mail.imap.IMAPFolder;

public class Mail {
    static void print(String what, Object found) {
        System.out.println(what + "\t" + found);
        System.out.flush();
    }

    static void read(String what, Folder folder) throws Exception {
        folder.open(Folder.READ_ONLY);
        for (Message m : folder.getMessages()) {
            var out = new ByteArrayOutputStream();
            m.writeTo(out);
            print(what, Base64.getEncoder().encodeToString(out.toByteArray()));
        }
        folder.close(false);
    }

    static Message[] one(Folder folder, int n) throws Exception { return new Message[] {folder.getMessage(n)}; }

    static void use(Session session, Store store, String append, String shared, boolean idle) throws Exception {
        for (Folder f : store.getDefaultFolder().list("*"))
            print("list", ((f.getType() & Folder.HOLDS_MESSAGES) == 0 ? "noselect " : "") + f.getFullName());
        read("message", store.getFolder("INBOX"));
        read("shared", store.getFolder(shared));
        try {
            Folder parent = store.getFolder("Lists");
            parent.open(Folder.READ_ONLY);
            print("parent", "opened");
        } catch (MessagingException e) {
            print("parent", e.getMessage());
        }

        var inbox = (IMAPFolder) store.getFolder("INBOX");
        inbox.open(Folder.READ_WRITE);
        for (Message m : inbox.search(new SubjectTerm("odd"))) print("found", m.getMessageNumber());
        store.getFolder("Drafts").appendMessages(new Message[] {new MimeMessage(session, new FileInputStream(append))});
        inbox.setFlags(one(inbox, 2), new Flags(Flags.Flag.SEEN), true);
        inbox.setFlags(one(inbox, 2), new Flags(Flags.Flag.FLAGGED), true);
        inbox.copyMessages(one(inbox, 2), store.getFolder("Sent"));
        List<String> expunged = new ArrayList<>();
        inbox.addMessageCountListener(new MessageCountAdapter() {
            public void messagesRemoved(MessageCountEvent e) {
                for (Message m : e.getMessages()) expunged.add("" + m.getMessageNumber());
            }
            public void messagesAdded(MessageCountEvent e) { print("news", inboxCount(inbox)); }
        });
        inbox.moveMessages(one(inbox, 3), store.getFolder("Trash"));
        Thread.sleep(100); // listeners run in a thread of their own
        print("expunged", String.join(",", expunged));
        inbox.expunge(); // of what it has been told to be gone it keeps a place until then
        print("exists", inbox.getMessageCount());
        print("third", inbox.getMessage(3).getSubject());
        if (idle) {
            print("idling", "");
            inbox.idle(true);
            Thread.sleep(100);
        }
    }

    static String inboxCount(Folder folder) {
        try {
            return "" + folder.getMessageCount();
        } catch (MessagingException e) {
            return e.toString();
        }
    }

    public static void main(String[] args) {
        String what = args[0], port = args[1], transport = args[2], user = args[3], append = args[4], shared = args[5];
        String protocol = transport.equals("TLS") ? "imaps" : "imap";
        var p = new Properties();
        p.put("mail." + protocol + ".ssl.trust", "localhost"); // Java does not read the certificate that the others are given
        p.put("mail.imap.starttls.required", "" + transport.equals("STARTTLS"));
        p.put("mail.imap.starttls.enable", "" + transport.equals("STARTTLS"));
        p.put("mail.debug", "" + what.equals("search")); // it says what the server answers, and what it does then
        var session = Session.getInstance(p);
        try (Store store = session.getStore(protocol)) {
            store.connect("localhost", Integer.parseInt(port), user, "pass");
            if (what.equals("use") || what.equals("idle")) {
                use(session, store, append, shared, what.equals("idle"));
                return;
            }
            Folder inbox = store.getFolder("INBOX");
            inbox.open(Folder.READ_ONLY);
            if (what.equals("fetch")) {
                var out = new ByteArrayOutputStream();
                inbox.getMessage(1).writeTo(out);
                System.out.println("a message of " + out.size() + " bytes");
                print("subject", inbox.getMessage(1).getSubject());
            } else {
                print("found", inbox.search(new SubjectTerm("odd")).length);
            }
        } catch (Exception e) {
            System.out.println(e);
            System.exit(1);
        }
    }
}
